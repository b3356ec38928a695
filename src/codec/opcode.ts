/**
 * The opcodes of RFC 6455 §5.2 and the IANA "WebSocket Opcode Registry": what a frame is.
 * Everything else (0x3–0x7, 0xB–0xF) is reserved and refused by the frame decoder.
 */

/** Opcodes by name. Control opcodes have bit 3 set: `value >= opcode.close`. */
export const opcode = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;
