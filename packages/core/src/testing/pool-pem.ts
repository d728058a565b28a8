// PEM text around the base64 of the stored pool. Proof: testing/test-identities.test.ts.

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`
}

export function pemOfKey(base64: string): string {
  return pem('PRIVATE KEY', base64)
}

export function pemOfCertificate(base64: string): string {
  return pem('CERTIFICATE', base64)
}
