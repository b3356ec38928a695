/** A recording cannot be used. The message names the file and, where it is one, the line. */
export class RecordingError extends Error {
  override readonly name = "RecordingError";
}
