/** Which address a delivery leaves from. Pure: the random source is handed in. */
import type { Family, Pin } from '../delivery/types';
import type { PoolAddress } from './pool';

export interface Choice {
    pool: readonly PoolAddress[];
    /** Families in which the destination can be reached. Both false: unknown, then any will do. */
    reachable: Readonly<Record<Family, boolean>>;
    /** Share of IPv6 where both ends have it, 0..1. */
    share: number;
    /** Addresses that this delivery was refused from, oldest first. */
    tried: readonly string[];
    /** A greylisted delivery keeps its address while the pool has it. */
    pin?: Pick<Pin, 'address'> | undefined;
    random: () => number;
}

/**
 * Draws an address: the family first (so that many IPv6 addresses do not drown few IPv4 ones), then for IPv6 the narrow
 * range (/64), then the address, uniformly by weight. Addresses tried before are left out while another one is left, and
 * those that share no range with a tried one come first. After an IPv6 refusal IPv4 is next.
 *
 * @returns undefined only when the pool has no address at all for this destination
 */
export function choose(choice: Choice): PoolAddress | undefined {
    const { pool, pin, tried, random } = choice;
    const kept = pin && pool.find(entry => entry.address === pin.address);
    if (kept) {
        return kept;
    }
    const usable = candidates(choice);
    const untried = tried.length === 0 ? usable : usable.filter(entry => !tried.includes(entry.address));
    const field = untried.length > 0 ? untried : usable;
    return drawAddress(farthest(drawFamily(field, choice), pool, tried), random);
}

/** Pool addresses that can reach the destination and are not in `tried`. */
export function countUntried(choice: Pick<Choice, 'pool' | 'reachable' | 'tried'>): number {
    return candidates(choice).filter(entry => !choice.tried.includes(entry.address)).length;
}

/** One address of the family that was not drawn: ZoneMTA falls back to it when the drawn family cannot connect at all. */
export function chooseOther(choice: Choice, chosen: PoolAddress): PoolAddress | undefined {
    return choose({ ...choice, pool: choice.pool.filter(entry => entry.family !== chosen.family), pin: undefined });
}

function candidates({ pool, reachable }: Pick<Choice, 'pool' | 'reachable'>): readonly PoolAddress[] {
    return reachable.ipv4 === reachable.ipv6 ? pool : pool.filter(entry => reachable[entry.family]);
}

/** Those of the field that are of one family. */
function drawFamily(field: readonly PoolAddress[], { share, tried, random }: Choice): readonly PoolAddress[] {
    const [first] = field;
    if (!field.some(entry => entry.family !== first?.family)) {
        return field;
    }
    const refusedOverIPv6 = tried.some(address => address.includes(':'));
    const family: Family = !refusedOverIPv6 && random() < share ? 'ipv6' : 'ipv4';
    return field.filter(entry => entry.family === family);
}

/** Of the field, those that share no wide range with a tried address; failing that no narrow one; failing that all. */
function farthest(field: readonly PoolAddress[], pool: readonly PoolAddress[], tried: readonly string[]): readonly PoolAddress[] {
    if (tried.length === 0) {
        return field;
    }
    const struck = pool.filter(entry => tried.includes(entry.address));
    const widths = Math.max(0, ...field.map(entry => entry.ranges.length));
    for (let width = widths - 1; width >= 0; width--) {
        const ranges = new Set(struck.map(entry => entry.ranges[width]));
        const far = field.filter(entry => !ranges.has(entry.ranges[width]));
        if (far.length > 0) {
            return far;
        }
    }
    return field;
}

function drawAddress(field: readonly PoolAddress[], random: () => number): PoolAddress | undefined {
    if (field[0]?.family !== 'ipv6') {
        return drawWeighted(field, random);
    }
    const ranges = new Map<string, PoolAddress[]>();
    for (const entry of field) {
        const narrow = entry.ranges[0] ?? '';
        const range = ranges.get(narrow);
        if (range) {
            range.push(entry);
        } else {
            ranges.set(narrow, [entry]);
        }
    }
    const drawn = [...ranges.values()][Math.floor(random() * ranges.size)];
    return drawn && drawWeighted(drawn, random);
}

function drawWeighted(field: readonly PoolAddress[], random: () => number): PoolAddress | undefined {
    const total = field.reduce((sum, entry) => sum + entry.weight, 0);
    let mark = random() * total;
    return field.find(entry => (mark -= entry.weight) < 0) ?? field.at(-1);
}
