/**
 * How long names may be.
 * @module
 */

/** Kubernetes' limit for names. */
export const MAX_NAME_LENGTH = 253;
/** An id stands with its node's name in a link's alias (255 characters, IFALIASZ) and alone in comments of 127. */
export const MAX_ID_LENGTH = 127;
/** Room for the host's name (HOST_NAME_MAX). It stands with a sandbox id in a link's alias of 255 characters (IFALIASZ). */
export const MAX_NODE_NAME_LENGTH = 64;
