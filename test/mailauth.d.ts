declare module 'mailauth/lib/dkim/verify' {
    /** Verifies the DKIM signatures of a message. */
    export function dkimVerify(message: Buffer, options: { resolver: (name: string, type: string) => Promise<string[][]> }): Promise<{ results: { status: { result: string }; signingDomain: string }[] }>;
}
