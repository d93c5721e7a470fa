import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, serviceOf, startChild, untilReady, type Service } from './process';

export interface RedisOptions {
    readonly host: string;
    /** The world's folder. */
    readonly dir: string;
    readonly port?: number;
}

/** A Redis that keeps nothing on disk, so that a killed one comes back empty, or one that keeps all. */
export function startRedis({ host, dir, port = 6379 }: RedisOptions, kept: 'nothing' | 'all' = 'nothing'): Promise<RedisServer> {
    return start({ host, dir, port, name: 'redis' }, ['--save', '', ...(kept === 'all' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no'])]);
}

export interface RedisServer extends Service {
    readonly url: string;
}

export interface RedisCluster {
    readonly nodes: readonly RedisServer[];
    /** Starts a killed node again: it comes back empty, with its slots. */
    startAgain(index: number): Promise<void>;
    stop(): Promise<void>;
}

const SLOTS = 16_384;

/** A Redis Cluster of three masters, each with a third of the slots; what one does not serve does not stop the others. */
export async function startRedisCluster({ host, dir, port = 7000 }: RedisOptions): Promise<RedisCluster> {
    const launch = (index: number) =>
        start({ host, dir, port: port + index, name: `redis-${index}` }, [
            ...['--save', '', '--appendonly', 'no', '--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'no', '--cluster-node-timeout', '2000'],
            ...['--cluster-announce-ip', host, '--cluster-config-file', `nodes-${index}.conf`]
        ]);
    const nodes = await Promise.all([0, 1, 2].map(launch));
    const end = () => Promise.all(nodes.map(node => node.stop()));
    try {
        for (const [index, node] of nodes.entries()) {
            const [first, last] = [Math.floor((SLOTS * index) / 3), Math.floor((SLOTS * (index + 1)) / 3) - 1];
            await command(node, `CLUSTER SET-CONFIG-EPOCH ${index + 1}`);
            await command(node, `CLUSTER ADDSLOTSRANGE ${first} ${last}`);
        }
        for (const index of [1, 2]) {
            await command(nodes[0] as RedisServer, `CLUSTER MEET ${host} ${port + index}`);
        }
        await Promise.all(nodes.map(node => ready(node, 'CLUSTER INFO', reply => reply.includes('cluster_state:ok') && reply.includes('cluster_known_nodes:3'))));
    } catch (err) {
        await end();
        throw err;
    }
    return {
        nodes,
        async startAgain(index) {
            nodes[index] = await launch(index);
        },
        stop: async () => void (await end())
    };
}

export interface RedisSentinel {
    readonly sentinels: readonly { host: string; port: number }[];
    /** The name under which clients ask for the master. */
    readonly master: string;
    /** The one that is master at the start, and its replica. */
    readonly servers: readonly RedisServer[];
    stop(): Promise<void>;
}

/** A master and a replica, watched by three Sentinels that fail over within about two seconds. */
export async function startRedisSentinel({ host, dir, port = 6400 }: RedisOptions): Promise<RedisSentinel> {
    const all: Service[] = [];
    const keep = async <T extends Service>(starting: Promise<T>): Promise<T> => {
        const service = await starting;
        all.push(service);
        return service;
    };
    const stop = async () => void (await Promise.all(all.map(service => service.stop())));
    try {
        const plain = ['--save', '', '--appendonly', 'no'];
        const master = await keep(start({ host, dir, port, name: 'redis-master' }, plain));
        const replica = await keep(start({ host, dir, port: port + 1, name: 'redis-replica' }, [...plain, '--replicaof', host, `${port}`, '--replica-announce-ip', host]));
        await ready(replica, 'INFO replication', reply => reply.includes('master_link_status:up'));
        const sentinels = [2, 3, 4].map(offset => ({ host, port: port + offset }));
        for (const sentinel of sentinels) {
            const file = join(dir, `sentinel-${sentinel.port}.conf`);
            writeFileSync(file, [`sentinel monitor bed ${host} ${port} 2`, 'sentinel down-after-milliseconds bed 1000', 'sentinel failover-timeout bed 3000', `sentinel announce-ip ${host}`, ''].join('\n'));
            await keep(start({ host, dir, port: sentinel.port, name: `sentinel-${sentinel.port}`, file }, ['--sentinel']));
        }
        for (const service of all.slice(2)) {
            await ready(service, 'SENTINEL MASTER bed', reply => /num-slaves\r\n\$1\r\n1\r\n/.test(reply) && /num-other-sentinels\r\n\$1\r\n2\r\n/.test(reply));
        }
        return { sentinels, master: 'bed', servers: [master, replica], stop };
    } catch (err) {
        await stop();
        throw err;
    }
}

async function start({ host, dir, port, name, file }: Required<RedisOptions> & { name: string; file?: string }, more: readonly string[]): Promise<RedisServer> {
    const home = join(dir, name);
    mkdirSync(home, { recursive: true });
    const child = startChild({
        name,
        command: 'redis-server',
        args: [...(file ? [file] : []), '--bind', host, '--port', `${port}`, '--dir', home, '--daemonize', 'no', '--protected-mode', 'no', ...more],
        logFile: join(home, 'redis.log')
    });
    await untilReady(child, () => ask(host, port, 'PING\r\n', reply => reply.startsWith('+PONG\r\n')));
    return { ...serviceOf(child, host, port), url: `redis://${host}:${port}` };
}

function command({ host, port }: Service, line: string): Promise<string> {
    return ask(host, port, `${line}\r\n`, reply => reply.endsWith('\r\n'));
}

/** Asks until the answer is as wanted. */
async function ready(service: Service, line: string, isSo: (reply: string) => boolean, deadlineMs = 20_000): Promise<void> {
    const end = Date.now() + deadlineMs;
    for (;;) {
        const reply = await command(service, line).catch((err: unknown) => (err as Error).message);
        if (isSo(reply)) {
            return;
        }
        if (Date.now() > end) {
            throw new Error(`${service.name} is not ready within ${deadlineMs} ms: ${line}: ${reply}`);
        }
        await new Promise(resolve => setTimeout(resolve, 50));
    }
}
