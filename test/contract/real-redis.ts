/** A real Redis, or a cluster, for the tests of a file. It may be stopped and started in between. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { failFast, type RedisPlace, type SharedRedis } from '../../lib/health/redis';
import { claimLoopback } from '../bed/services/loopback';
import type { Service } from '../bed/services/process';
import { startRedis, startRedisCluster, type RedisCluster } from '../bed/services/redis';

export interface RealRedis {
    /** The server that runs now. */
    server: Service;
    /** A client like ZoneMTA's own. */
    client: Redis;
    place: RedisPlace;
    /** Starts it again after a stop or a kill: it comes back empty. */
    startAgain(): Promise<void>;
}

/** To be called at the top of a test file. What it returns is filled before the first test. */
export function useRealRedis(): RealRedis {
    const real = {} as RealRedis;
    useLoopback(async (host, dir) => {
        const start = () => startRedis({ host, dir });
        const server = await start();
        const client = clientOf({ host, port: server.port });
        Object.assign(real, {
            server,
            client,
            place: { host: client, nodes: [] },
            startAgain: async () => {
                real.server = await start();
            }
        });
        return async () => {
            client.disconnect();
            await real.server.stop();
        };
    });
    return real;
}

export interface RealCluster {
    servers: RedisCluster;
    /** A client that fails fast, as the stores have it. */
    client: SharedRedis;
    place: RedisPlace;
}

/** The same with a Redis Cluster of three. ZoneMTA's own client has no part in it, but gives the class of the cluster's. */
export function useRealCluster(): RealCluster {
    const real = {} as RealCluster;
    useLoopback(async (host, dir) => {
        const servers = await startRedisCluster({ host, dir });
        const own = clientOf({ host, port: servers.nodes[0]?.port ?? 0 });
        const place = { host: own, nodes: servers.nodes.map(({ port }) => ({ host, port })) };
        const { client, ready } = failFast(place);
        await ready;
        Object.assign(real, { servers, client, place });
        return async () => {
            client.disconnect();
            own.disconnect();
            await servers.stop();
        };
    });
    return real;
}

/** A client like ZoneMTA's own; its connection may break on purpose. */
export function clientOf(options: RedisOptions): Redis {
    return new Redis(options).on('error', () => undefined);
}

/** Starts something on a loopback network of its own before the tests of a file, and ends it after them. */
export function useLoopback(start: (host: string, dir: string) => Promise<() => Promise<void>>): void {
    let end: () => Promise<void> = async () => undefined;
    beforeAll(async () => {
        const loopback = await claimLoopback();
        const dir = mkdtempSync(join(tmpdir(), 'redis-'));
        const stop = await start(loopback.host, dir);
        end = async () => {
            await stop();
            await loopback.release();
            rmSync(dir, { recursive: true });
        };
    });
    afterAll(() => end());
}
