import { once } from 'node:events';
import net from 'node:net';

/** A loopback /16 of one's own: 127.`k`.0.0. */
export interface Loopback {
    readonly k: number;
    /** Where the services of the world listen, each on its standard port: 127.`k`.0.1. */
    readonly host: string;
    release(): Promise<void>;
}

/**
 * Claims a loopback /16 that no other world on this machine has. The lock is a listening socket, so it cannot be
 * left behind by a killed process, and nobody has to look for free ports, which are only free until somebody else looks.
 */
export async function claimLoopback({ first = 64, last = 250 } = {}): Promise<Loopback> {
    const count = last - first + 1;
    const start = Math.floor(Math.random() * count);
    for (let i = 0; i < count; i++) {
        const k = first + ((start + i) % count);
        const lock = await tryLock(k);
        if (!lock) continue;
        return { k, host: `127.${k}.0.1`, release: () => new Promise(resolve => lock.close(() => resolve())) };
    }
    throw new Error(`all loopback networks from 127.${first}.0.0 to 127.${last}.0.0 are in use`);
}

async function tryLock(k: number): Promise<net.Server | undefined> {
    const server = net.createServer(socket => socket.destroy());
    server.listen({ host: `127.${k}.255.254`, port: 45_000, exclusive: true });
    try {
        await once(server, 'listening');
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
        throw error;
    }
    server.unref();
    return server;
}
