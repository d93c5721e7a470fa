/**
 * What the choice of an address costs, with a tenth of the pool suspended at the provider: `npm run bench:pool`. First attempts,
 * reroutes, and the look for what is left, for each size of pool; then the memory of a mirror with 100,000 suspensions, and what asking the pace
 * costs in memory and over a real Redis.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { MemoryPace } from '../lib/health/memory-pace';
import type { Pace, PaceStore } from '../lib/health/pace';
import { RedisPace } from '../lib/health/redis-pace';
import { SuspensionTable } from '../lib/health/table';
import type { Suspension } from '../lib/health/suspension';
import { choose, whatIsLeft } from '../lib/pool/choose';
import { buildPool, type PoolAddress } from '../lib/pool/pool';
import { claimLoopback } from '../test/bed/services/loopback';
import { startRedis } from '../test/bed/services/redis';

const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };
const REACHABLE = { ipv4: true, ipv6: true };
const NOW = Date.now();
const DRAWS = 200_000;
const ASKED = 20_000;
const AT_ONCE = 50;
/** A pace that lets all go, and one at which nearly all wait. */
const PACES: Record<string, Pace> = {
    'all go': { address: { messages: 1_000_000, connections: 10_000 }, pool: { messages: 1_000_000, connections: 10_000 } },
    'all wait': { address: { messages: 20 }, pool: { messages: 60 } }
};

/** Half IPv4, half IPv6, in /24 and /64 of 256 addresses. */
function poolOf(size: number): PoolAddress[] {
    const half = Array.from({ length: size / 2 }, (_, n) => n);
    const v4 = half.map(n => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
    const v6 = half.map(n => `2001:db8:0:${(n >> 8).toString(16)}::${((n & 255) + 1).toString(16)}`);
    return buildPool([...v4, ...v6].map(address => ({ address })), RANGES);
}

function suspensionOf(provider: string, scope: string): Suspension {
    return { provider, scope, class: 'ip-reputation', code: 550, strikes: 1, struck: NOW, until: NOW + 3_600_000, probing: 0, note: '' };
}

function tableOf(pool: readonly PoolAddress[]): SuspensionTable {
    const table = new SuspensionTable();
    table.replace(pool.filter((_, n) => n % 10 === 0).map(({ address }) => suspensionOf('google', address)));
    return table;
}

/** Microseconds of each call: p50, p99 and the longest. */
function timed(call: () => unknown): string {
    return ranks(
        Array.from({ length: DRAWS }, () => {
            const began = process.hrtime.bigint();
            call();
            return Number(process.hrtime.bigint() - began) / 1000;
        })
    );
}

function ranks(taken: number[]): string {
    const sorted = taken.sort((a, b) => a - b);
    const rank = (share: number) => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0).toFixed(1).padStart(9);
    return `p50 ${rank(0.5)} µs   p99 ${rank(0.99)} µs   max ${rank(1)} µs`;
}

/** Deliveries to one provider, each ended before the next of its line begins. Microseconds of each asking, and how many a second. */
async function asked(store: PaceStore, pace: Pace, pool: readonly PoolAddress[], lines: number): Promise<string> {
    const taken: number[] = [];
    const began = performance.now();
    await Promise.all(
        Array.from({ length: lines }, async (_, line) => {
            for (let n = 0; n < ASKED / lines; n++) {
                const candidates = Array.from({ length: 4 }, () => ({ address: pool[Math.floor(Math.random() * pool.length)]?.address ?? '' }));
                const from = process.hrtime.bigint();
                const slot = await store.ask({ provider: 'google', pace, delivery: `${line}.${n}`, candidates, more: false, waited: false, now: Date.now() });
                taken.push(Number(process.hrtime.bigint() - from) / 1000);
                if (slot.kind === 'go') {
                    await store.release('google', slot.address, `${line}.${n}`);
                }
            }
        })
    );
    return `${ranks(taken)}   ${Math.round(ASKED / ((performance.now() - began) / 1000))} a second`;
}

async function paces(): Promise<void> {
    const loopback = await claimLoopback();
    const dir = mkdtempSync(join(tmpdir(), 'bench-'));
    const redis = await startRedis({ host: loopback.host, dir });
    const client = new Redis(redis.url);
    const calls = async () => Number(/cmdstat_eval:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);
    const pool = poolOf(512);
    for (const [name, pace] of Object.entries(PACES)) {
        console.log(`the pace, in memory, ${name.padEnd(8)}       ${await asked(new MemoryPace(), pace, pool, 1)}`);
        for (const lines of [1, AT_ONCE]) {
            const before = await calls();
            const figures = await asked(new RedisPace(client, `${name}${lines}:`), pace, pool, lines);
            console.log(`the pace, in Redis, ${name.padEnd(8)} ${String(lines).padStart(2)} at once ${figures}, ${(((await calls()) - before) / ASKED).toFixed(2)} Lua calls each`);
        }
    }
    client.disconnect();
    await redis.stop();
    await loopback.release();
    rmSync(dir, { recursive: true });
}

for (const size of [512, 65_536]) {
    const pool = poolOf(size);
    const table = tableOf(pool);
    const choice = (tried: readonly string[]) => ({ pool, reachable: REACHABLE, share: 0.5, tried, health: table.view('google', NOW), random: Math.random });
    choose(choice([]));
    console.log(`${String(size).padStart(6)} addresses, first attempt  ${timed(() => choose(choice([])))}`);
    // refused once, and refused from as many ranges as one delivery may try
    for (const tries of [1, 4]) {
        const tried = Array.from({ length: tries }, (_, n) => pool[16 * n]?.address ?? '');
        console.log(`${String(size).padStart(6)} addresses, reroute no. ${tries}  ${timed(() => choose(choice(tried)))}`);
        console.log(`${String(size).padStart(6)} addresses, what is left   ${timed(() => whatIsLeft(choice(tried)))}`);
    }
}

const before = heap();
const mirror = new SuspensionTable();
mirror.replace(Array.from({ length: 100_000 }, (_, n) => suspensionOf(`provider${n % 100}.example`, `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`)));
console.log(`a mirror with ${mirror.list(NOW).length} suspensions takes ${((heap() - before) / 2 ** 20).toFixed(1)} MiB`);

void paces();

function heap(): number {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
}
