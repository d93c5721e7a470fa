import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ask, serviceOf, startChild, untilReady, type Service } from './process';

export interface RedisOptions {
    readonly host: string;
    /** The world's folder. */
    readonly dir: string;
    readonly port?: number;
}

/** A Redis that keeps nothing on disk: a killed one comes back empty, which is what the outage tests want. */
export async function startRedis({ host, dir, port = 6379 }: RedisOptions): Promise<Service & { readonly url: string }> {
    const home = join(dir, 'redis');
    mkdirSync(home, { recursive: true });
    const child = startChild({
        name: 'redis',
        command: 'redis-server',
        args: ['--bind', host, '--port', `${port}`, '--dir', home, '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--protected-mode', 'no'],
        logFile: join(home, 'redis.log')
    });
    await untilReady(child, () => ask(host, port, 'PING\r\n', reply => reply.startsWith('+PONG\r\n')));
    return { ...serviceOf(child, host, port), url: `redis://${host}:${port}` };
}
