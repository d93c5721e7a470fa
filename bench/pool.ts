/**
 * What the choice of an address costs, with a tenth of the pool suspended at the provider: `npm run bench:pool`. First attempts,
 * reroutes, and the look for what is left, for each size of pool; then the memory of a mirror with 100,000 suspensions.
 */
import { SuspensionTable } from '../lib/health/table';
import type { Suspension } from '../lib/health/suspension';
import { choose, whatIsLeft } from '../lib/pool/choose';
import { buildPool, type PoolAddress } from '../lib/pool/pool';

const RANGES = { subnets4: [28, 24], subnets6: [64, 48], weights: {} };
const REACHABLE = { ipv4: true, ipv6: true };
const NOW = Date.now();
const DRAWS = 200_000;

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
    const taken = Array.from({ length: DRAWS }, () => {
        const began = process.hrtime.bigint();
        call();
        return Number(process.hrtime.bigint() - began) / 1000;
    }).sort((a, b) => a - b);
    const rank = (share: number) => (taken[Math.ceil(share * DRAWS) - 1] ?? 0).toFixed(1).padStart(9);
    return `p50 ${rank(0.5)} µs   p99 ${rank(0.99)} µs   max ${rank(1)} µs`;
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

function heap(): number {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
}
