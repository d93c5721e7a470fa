import { isIP } from 'node:net';
import type { HostZone } from '../zonemta/host';
import { isTable } from './tables';

/** What the checks need to know of ZoneMTA's own configuration: `config.zones` and `config.pools` as they are. */
export interface HostZones {
    zones: Record<string, HostZone>;
    pools: Record<string, (string | { address: string; name?: string })[]>;
}

/** The zones by the name that a delivery carries: ZoneMTA lowers it, whatever the configuration says. */
export function zonesByName(host: HostZones): Map<string, HostZone> {
    const zones = Object.entries(host.zones).filter(([, zone]) => isTable(zone));
    return new Map(zones.map(([name, zone]) => [name.toLowerCase().trim(), zone]));
}

/** Why random-ip cannot draw from a zone's pool, with the mend; undefined when it can. */
export function poolProblem(name: string, zone: HostZone, pools: HostZones['pools']): string | undefined {
    const { pool } = zone;
    if (pool === undefined || pool === null || pool === '' || pool === false) {
        return `zone ${name} has no pool: give it one of ${Object.keys(pools).join(', ') || 'your own'}`;
    }
    // As ZoneMTA resolves it: the name of a pool, else an address, else a list of entries.
    const named = typeof pool === 'string' && Object.hasOwn(pools, pool) ? pools[pool] : undefined;
    if (typeof pool === 'string' && !named && isIP(pool) === 0) {
        return `zone ${name} has an unknown pool ${JSON.stringify(pool)}: give it one of ${Object.keys(pools).join(', ')}`;
    }
    const entries: unknown[] = [named ?? pool].flat();
    if (entries.length === 0) {
        return `zone ${name} has an empty pool: give it at least one address`;
    }
    const addresses = entries.map(addressOf);
    const wrong = addresses.findIndex(address => typeof address !== 'string' || isIP(address) === 0);
    return wrong < 0
        ? undefined
        : `the pool of zone ${name} has an entry that is not an IP address: ${JSON.stringify(addresses[wrong] ?? null)}`;
}

function addressOf(entry: unknown): unknown {
    return typeof entry === 'object' && entry !== null && 'address' in entry ? entry.address : entry;
}
