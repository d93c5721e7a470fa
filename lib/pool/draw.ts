/** A pool prepared for quick draws: by family, for IPv6 by narrow range, with weights added up. Pure. */
import type { Family } from '../delivery/types';
import type { PoolAddress } from './pool';

interface Group {
    entries: readonly PoolAddress[];
    /** Weights added up, entry by entry. */
    sums: readonly number[];
    /** All alike, as nearly always: then no search is needed. */
    even: boolean;
}

export interface Urn {
    total: number;
    groups: readonly Group[];
}

export interface PoolIndex extends Readonly<Record<Family, Urn>> {
    byAddress: ReadonlyMap<string, PoolAddress>;
    /** How many addresses each range has, of every width. */
    sizes: ReadonlyMap<string, number>;
}

const indexes = new WeakMap<readonly PoolAddress[], PoolIndex>();

/** The index of a pool, built with its first use: a pool is never changed, but replaced. */
export function indexOf(pool: readonly PoolAddress[]): PoolIndex {
    const known = indexes.get(pool);
    if (known) {
        return known;
    }
    const index: PoolIndex = {
        ipv4: urnOf([pool.filter(entry => entry.family === 'ipv4')]),
        ipv6: urnOf([...byRange(pool.filter(entry => entry.family === 'ipv6')).values()]),
        byAddress: new Map(pool.map(entry => [entry.address, entry])),
        sizes: sizesOf(pool)
    };
    indexes.set(pool, index);
    return index;
}

/** Draws from a field of one family that is used only once. */
export function drawAmong(field: readonly PoolAddress[], random: () => number): PoolAddress | undefined {
    return drawFrom(urnOf(field[0]?.family === 'ipv6' ? [...byRange(field).values()] : [field]), random);
}

/** Draws a group, each alike, then an entry of it by its weight. */
export function drawFrom({ groups }: Urn, random: () => number): PoolAddress | undefined {
    const group = groups.length === 1 ? groups[0] : groups[Math.floor(random() * groups.length)];
    if (!group) {
        return undefined;
    }
    const { entries, sums, even } = group;
    if (even) {
        return entries[Math.floor(random() * entries.length)];
    }
    const mark = random() * (sums.at(-1) ?? 0);
    let [low, high] = [0, entries.length - 1];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (mark < (sums[middle] ?? 0)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return entries[low];
}

function urnOf(lists: readonly (readonly PoolAddress[])[]): Urn {
    const groups = lists.filter(entries => entries.length > 0).map(groupOf);
    return { groups, total: groups.reduce((sum, { entries }) => sum + entries.length, 0) };
}

function groupOf(entries: readonly PoolAddress[]): Group {
    let sum = 0;
    const sums = entries.map(({ weight }) => (sum += weight));
    return { entries, sums, even: entries.every(({ weight }) => weight === entries[0]?.weight) };
}

function sizesOf(pool: readonly PoolAddress[]): Map<string, number> {
    const sizes = new Map<string, number>();
    for (const range of pool.flatMap(entry => entry.ranges)) {
        sizes.set(range, (sizes.get(range) ?? 0) + 1);
    }
    return sizes;
}

function byRange(entries: readonly PoolAddress[]): Map<string, PoolAddress[]> {
    const ranges = new Map<string, PoolAddress[]>();
    for (const entry of entries) {
        const narrow = entry.ranges[0] ?? '';
        const range = ranges.get(narrow);
        if (range) {
            range.push(entry);
        } else {
            ranges.set(narrow, [entry]);
        }
    }
    return ranges;
}
