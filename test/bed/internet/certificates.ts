import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A private key and the certificate for it, as PEM. */
export interface KeyPair {
    key: string;
    cert: string;
}

/** A certificate authority of the test's own. */
export interface Authority {
    /** Its certificate: what a client is started with as NODE_EXTRA_CA_CERTS. */
    caFile: string;
    /** A key pair for a host name, signed by it. */
    issue(hostName: string): Promise<KeyPair>;
}

// Debian's openssl.cnf would add extensions of its own to ours; so nothing of it is used.
const CONFIG = `
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
`;

/** Makes an authority with the openssl program (3.0 or later) that keeps its files in `folder`. */
export async function makeAuthority(folder: string): Promise<Authority> {
    await mkdir(folder, { recursive: true });
    const file = (name: string) => join(folder, name);
    await writeFile(file('openssl.cnf'), CONFIG);

    const request = async (name: string, subject: string, extra: readonly string[]) => {
        const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file(`${name}.key`)];
        const output = ['-out', file(`${name}.pem`), '-days', '30', '-subj', `/CN=${subject}`];
        await run('openssl', ['req', '-x509', '-config', file('openssl.cnf'), ...key, ...output, ...extra]);
    };

    await request('ca', 'Test bed authority', ['-extensions', 'authority']);
    let issued = 0;
    return {
        caFile: file('ca.pem'),
        async issue(hostName) {
            issued += 1;
            const name = `leaf-${issued}`;
            const signer = ['-CA', file('ca.pem'), '-CAkey', file('ca.key')];
            await request(name, hostName, [...signer, '-extensions', 'server', '-addext', `subjectAltName=DNS:${hostName}`]);
            const [key, cert] = await Promise.all([readFile(file(`${name}.key`), 'utf8'), readFile(file(`${name}.pem`), 'utf8')]);
            return { key, cert };
        }
    };
}
