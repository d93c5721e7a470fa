import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { atOnce } from './at-once';

const AT_ONCE = 64;
/** An address of the internet (k.root-servers.net). Connecting a UDP socket looks the route up and sends nothing. */
const FAR = '2001:7fd::1';
const FAR_PORT = 53;
/** The kernel has no way, or one that says no. Anything else is no word about the route. */
const NO_ROUTE = ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES'];

/**
 * The IPv6 addresses of `addresses` from which this host has no route to the internet, with the reason: a router that is gone, a
 * rule for the source address that is missing. It cannot tell whether answers find the way back. IPv4 is not asked: a host
 * without a route there has other troubles.
 */
export async function unrouted(addresses: readonly string[]): Promise<Map<string, string>> {
    const failed = new Map<string, string>();
    await atOnce(AT_ONCE, addresses.filter(address => isIPv6(address)), async address => {
        const code = await connectFailure(address);
        if (NO_ROUTE.includes(code)) {
            failed.set(address, code);
        }
    });
    return failed;
}

/** The error code, or an empty text. */
function connectFailure(address: string): Promise<string> {
    return new Promise(resolve => {
        const socket = createSocket('udp6');
        const done = (code = '') => {
            socket.removeAllListeners();
            // an error that comes after the first one is nobody's business
            socket.on('error', () => undefined);
            socket.close();
            resolve(code);
        };
        socket.once('error', ({ code }: NodeJS.ErrnoException) => done(code));
        socket.once('connect', () => done());
        socket.bind({ address, port: 0, exclusive: true }, () => socket.connect(FAR_PORT, FAR));
    });
}
