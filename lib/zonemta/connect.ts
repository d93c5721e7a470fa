/** ZoneMTA's TCP connections, as its sender:connect hook sees them (mx-connect, lib/get-connection.js). */
import type { Socket } from 'node:net';
import type { SenderConnectOptions } from '@zone-eu/types';

/** Gives ZoneMTA a socket that is open, and the name to greet with. */
export function useSocket(options: SenderConnectOptions, socket: Socket, helo: string): void {
    options.socket = socket;
    options.localHostname = helo;
}

/**
 * Lets ZoneMTA's own connect fail with an error that is known already, so that it reports it in its own words and goes on with the
 * next MX host. An error of the hook would be the end of the attempt.
 *
 * @param connected ZoneMTA keeps an error without a connection for two minutes, and fails all deliveries to the same MX with it; one
 *   that came after a connection was made it must not keep (lib/sender.js, netConnected)
 */
export function failConnect(options: SenderConnectOptions, error: Error, connected: boolean): void {
    // net.connect asks `lookup` for what is no plain address
    options.host = `[${options.host}]`;
    options['lookup'] = (_host: string, _options: unknown, done: (err: Error) => void) => done(error);
    if (connected) {
        Object.defineProperty(error, 'netConnected', { get: () => true, set: () => undefined });
    }
}
