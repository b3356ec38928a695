/**
 * Headers of every answer. The pages load nothing from elsewhere and are shown in nobody's frame; what is not
 * a page must not be taken for one.
 */
export const securityHeaders = {
  "content-security-policy": [
    "default-src 'self'",
    "connect-src 'self' ws: wss:",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
} as const;
