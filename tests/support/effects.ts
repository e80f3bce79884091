/**
 * Where code may do what has effects outside of the program's own memory.
 *
 * @module
 */

/** Global objects with effects, and where they may be used. */
export const effects: readonly {
  readonly pattern: RegExp;
  readonly in: readonly string[];
  readonly why: string;
}[] = [
  {
    pattern: /\bconsole\.\w+/g,
    in: ["src/cli"],
    why: "a library prints nothing",
  },
  {
    pattern: /\bDeno\.exit\b/g,
    in: ["src/cli"],
    why: "a library throws",
  },
  {
    pattern: /\bDeno\.(?:dlopen|Unsafe\w+)/g,
    in: ["ffi"],
    why: "libc is reached through ffi/",
  },
  {
    pattern: /\bnew Worker\b|\bDeno\.(?:listen|serve|connect)\b/g,
    in: ["src/namespace", "src/testing", "src/cli"],
    why: "where a socket or a worker is born decides its namespace",
  },
  {
    pattern: /\bDeno\.Command\b/g,
    in: ["src/namespace", "src/testing", "src/cli"],
    why: "where a process is born decides its namespace",
  },
  {
    // Types, errors, and what needs neither a permission nor a file.
    pattern:
      /\bDeno\.(?!(?:build|version|inspect|errors|dlopen|Unsafe\w+|exit|Command|CommandOptions|ChildProcess|listen|serve|connect|Serve\w+|HttpServer|NetAddr|Tcp\w+|DynamicLibrary|ForeignLibraryInterface|Pointer\w+|createHttpClient|HttpClient)\b)\w+/g,
    in: ["src/cli"],
    why: "--allow-ffi alone must do, and /proc has to be read on this thread",
  },
  {
    pattern: /from "node:[^"]*"/g,
    in: ["src/cli"],
    why: "the Node API moves work to threads of other namespaces",
  },
];
