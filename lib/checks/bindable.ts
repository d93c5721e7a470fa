import { createServer } from 'node:net';
import { atOnce } from './at-once';

const AT_ONCE = 64;
/** What says that the address is not this host's. Anything else (no file descriptors left) is no failing of the address. */
const NOT_OURS = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'];

/**
 * The addresses of `addresses` that cannot be bound on this host, with the reason. One that is used all the same costs more
 * than its own attempt: ZoneMTA notes the failed connection for the zone and the domain, and fails everybody's mail there for two minutes.
 */
export async function unbindable(addresses: readonly string[]): Promise<Map<string, string>> {
    const failed = new Map<string, string>();
    await atOnce(AT_ONCE, addresses, async address => {
        const reason = await bindFailure(address);
        if (reason !== undefined) {
            failed.set(address, reason);
        }
    });
    return failed;
}

function bindFailure(address: string): Promise<string | undefined> {
    return new Promise(resolve => {
        const server = createServer();
        server.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(NOT_OURS.includes(code) ? code : undefined));
        server.listen({ host: address, port: 0, exclusive: true }, () => server.close(() => resolve(undefined)));
    });
}
