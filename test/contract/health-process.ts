/** The pool's memory of single processes, as a file's tests need them. */
import { afterEach, vi } from 'vitest';
import { MemoryHealth } from '../../lib/health/memory-health';
import { PoolHealth } from '../../lib/health/pool-health';
import { failFast, listen, type RedisPlace, type SharedRedis } from '../../lib/health/redis';
import { RedisHealth } from '../../lib/health/redis-health';
import { scopesOf, type Change, type HealthLimits, type Place } from '../../lib/health/suspension';
import { SuspensionTable } from '../../lib/health/table';

export interface HealthProcess {
    health: PoolHealth;
    client: SharedRedis;
    warnings: string[];
}

const COOL_DOWN = { first: 600_000, factor: 3, maximum: 86_400_000 };
const LIMITS: HealthLimits = { coolDown: { 'ip-reputation': COOL_DOWN, 'ip-rate': COOL_DOWN, 'ip-ptr': COOL_DOWN, network: COOL_DOWN }, rangeAfter: 3 };

export const placeOf = (n: number): Place => ({ address: `192.0.2.${n}`, family: 'ipv4', ranges: [`192.0.2.${n - (n % 16)}/28`, '192.0.2.0/24'] });

/** Starts processes that share a Redis; they end with the test, and the next test's share nothing with them. */
export function useProcesses(redis: { place: RedisPlace }): () => Promise<HealthProcess> {
    const started: { health: PoolHealth; clients: SharedRedis[] }[] = [];
    let runs = 0;
    afterEach(() => {
        for (const { health, clients } of started.splice(0)) {
            health.stop();
            clients.forEach(client => client.disconnect());
        }
        runs++;
    });
    return async () => {
        const { client, ready } = failFast(redis.place);
        await ready;
        const table = new SuspensionTable();
        const shared = new RedisHealth(client, `run${runs}:`, LIMITS);
        const warnings: string[] = [];
        const health = new PoolHealth({ table, own: new MemoryHealth(table, LIMITS), shared, now: Date.now, mark: () => `mark${Math.random()}`, warn: err => warnings.push(err.message) });
        const listener = listen(redis.place, shared.channel, message => health.hear(message), () => void health.listening());
        started.push({ health, clients: [client, listener] });
        await health.start();
        await vi.waitUntil(() => listener.status === 'ready', { timeout: 3000 });
        return { health, client, warnings };
    };
}

let messages = 0;

/** A refusal that blames the address, of a message of its own. */
export function strike({ health }: HealthProcess, n: number, provider = 'google'): Promise<Change[]> {
    return health.strike(`${messages}`, { provider, class: 'ip-reputation', code: 550, note: '', scopes: scopesOf(placeOf(n)), base: 0, message: `m${messages++}`, retryAfter: 0 });
}

export const isShut = ({ health }: HealthProcess, n: number, provider = 'google') => health.view(provider).standing(placeOf(n)) === 'shut';
