/**
 * Errors of the Container Network Interface: a code, a message, details.
 * @module
 */

/** The codes that the specification gives a meaning. Plugins use 100 and above for their own. */
export const CniErrorCode = {
  /** The plugin does not know the configuration's version. */
  INCOMPATIBLE_VERSION: 1,
  /** A field of the configuration is not supported; `details` names it. */
  UNSUPPORTED_FIELD: 2,
  /** The container is unknown: nothing needs to be cleaned up. */
  UNKNOWN_CONTAINER: 3,
  /** Environment variables are missing or invalid; `msg` names them. */
  INVALID_ENVIRONMENT: 4,
  /** Reading the configuration failed. */
  IO_FAILURE: 5,
  /** What was read is not what it should be. */
  DECODING_FAILURE: 6,
  /** The network configuration is invalid. */
  INVALID_NETWORK_CONFIG: 7,
  /** The namespace is the runtime's own, or none; not in the specification, but in its reference implementation. */
  INVALID_NETNS: 8,
  /** Something passes: the runtime should try again. */
  TRY_AGAIN_LATER: 11,
  /** STATUS: ADD would fail. */
  PLUGIN_NOT_AVAILABLE: 50,
  /** STATUS: ADD would fail, and containers that exist may lack connections. */
  LIMITED_CONNECTIVITY: 51,
  /** Everything else, by the custom of the reference plugins. */
  INTERNAL: 999,
} as const;

/** What a plugin says on its standard output when it fails. */
export interface CniErrorDocument {
  /** Version of the specification; some plugins leave it out. */
  readonly cniVersion?: string;
  /** See {@linkcode CniErrorCode}. */
  readonly code: number;
  /** One line for people. */
  readonly msg: string;
  /** More of it. */
  readonly details?: string;
}

/** An error that a plugin answers with, or that its answer is read as. */
export class CniError extends Error {
  /** `"CniError"`. */
  override readonly name = "CniError";
  /** See {@linkcode CniErrorCode}. */
  readonly code: number;
  /** More than the message; empty when there is nothing more. */
  readonly details: string;

  /** Makes an error. */
  constructor(
    code: number,
    message: string,
    options: { readonly details?: string; readonly cause?: unknown } = {},
  ) {
    super(
      message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.details = options.details ?? "";
  }

  /** The document for standard output. */
  toDocument(cniVersion: string): CniErrorDocument {
    return {
      cniVersion,
      code: this.code,
      msg: this.message,
      ...this.details !== "" && { details: this.details },
    };
  }

  /** The error of a document; undefined when it is none, such as a result. Never throws. */
  static fromDocument(value: unknown): CniError | undefined {
    if (typeof value !== "object" || value === null) return undefined;
    const { code, msg, details } = value as Record<string, unknown>;
    if (typeof code !== "number" || !Number.isSafeInteger(code) || code < 1) {
      return undefined;
    }
    return new CniError(code, typeof msg === "string" ? msg : "", {
      ...typeof details === "string" && { details },
    });
  }
}
