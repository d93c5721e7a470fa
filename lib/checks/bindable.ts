import { createServer } from 'node:net';

const AT_ONCE = 64;

/**
 * The addresses of `addresses` that cannot be bound on this host, with the reason. One that is used all the same costs more
 * than its own attempt: ZoneMTA notes the failed connection for the zone and the domain, and fails everybody's mail there for two minutes.
 */
export async function unbindable(addresses: readonly string[]): Promise<Map<string, string>> {
    const failed = new Map<string, string>();
    const queue = [...addresses];
    const worker = async () => {
        for (let address = queue.pop(); address !== undefined; address = queue.pop()) {
            const reason = await bindFailure(address);
            if (reason !== undefined) {
                failed.set(address, reason);
            }
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return failed;
}

function bindFailure(address: string): Promise<string | undefined> {
    return new Promise(resolve => {
        const server = createServer();
        server.once('error', (err: NodeJS.ErrnoException) => resolve(err.code ?? err.message));
        server.listen({ host: address, port: 0, exclusive: true }, () => server.close(() => resolve(undefined)));
    });
}
