/** The addresses of a sending zone's pool, and their ranges. Pure. */
import ipaddr from 'ipaddr.js';
import type { Family } from '../delivery/types';

export interface PoolAddress {
    address: string;
    /** EHLO name. */
    name: string;
    family: Family;
    /** Relative share of the draws, 1 by default. */
    weight: number;
    /** Ranges that it belongs to, the widest last: `10.0.0.0/28`, `10.0.0.0/24`. */
    ranges: readonly string[];
    /** Start of its warm-up, Unix milliseconds; without one it is not new. */
    since?: number;
}

export interface RangeSettings {
    /** Prefix lengths of the ranges that a block may cover, narrowest first. */
    subnets4: readonly number[];
    subnets6: readonly number[];
    /** Address or CIDR range to weight; the most specific entry wins. */
    weights: Readonly<Record<string, number>>;
    /** Address or CIDR range to the start of its warm-up; the most specific entry wins. */
    since?: Readonly<Record<string, number>>;
}

export interface PoolEntry {
    address: string;
    name?: string;
}

/**
 * Builds the pool from ZoneMTA's entries. Entries that are no IP address, doubles and those of weight 0 are left out
 * (the settings' check has named them).
 */
export function buildPool(entries: readonly PoolEntry[], settings: RangeSettings): PoolAddress[] {
    const weightOf = mostSpecific(settings.weights);
    const sinceOf = mostSpecific(settings.since ?? {});
    const seen = new Set<string>();
    return entries.flatMap(entry => {
        if (!ipaddr.isValid(entry.address)) {
            return [];
        }
        const ip = ipaddr.parse(entry.address);
        const address = ip.toString();
        const weight = weightOf(ip) ?? 1;
        const since = sinceOf(ip);
        if (seen.has(address) || weight <= 0) {
            return [];
        }
        seen.add(address);
        return [{ address, name: entry.name ?? '', family: ip.kind(), weight, ranges: rangesOf(address, settings), ...(since === undefined ? {} : { since }) }];
    });
}

/** The ranges of an address, narrowest first. */
export function rangesOf(address: string, settings: Pick<RangeSettings, 'subnets4' | 'subnets6'>): string[] {
    const ip = ipaddr.parse(address);
    const lengths = ip.kind() === 'ipv4' ? settings.subnets4 : settings.subnets6;
    const network = (cidr: string) => (ip.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr));
    return lengths.map(bits => `${network(`${ip.toString()}/${bits}`).toString()}/${bits}`);
}

/** An address of ours that is known from a connection, with its ranges; undefined when it is none. */
export function placeOf(address: string, settings: Pick<RangeSettings, 'subnets4' | 'subnets6'>): Pick<PoolAddress, 'address' | 'family' | 'ranges'> | undefined {
    if (!ipaddr.isValid(address)) {
        return undefined;
    }
    const ip = ipaddr.parse(address);
    return { address: ip.toString(), family: ip.kind(), ranges: rangesOf(address, settings) };
}

/** A part of the pool as a person writes it, in the form that is kept; undefined for what is no address and no range of the ladder. */
export function scopeNamed(text: string, settings: Pick<RangeSettings, 'subnets4' | 'subnets6'>): string | undefined {
    if (['ipv4', 'ipv6', 'provider'].includes(text)) {
        return text;
    }
    const [address = '', bits] = text.split('/');
    const place = placeOf(address, settings);
    return bits === undefined ? place?.address : place?.ranges.find(range => range.endsWith(`/${bits}`));
}

/** Looks up what a table has for an address: that of its narrowest range. */
function mostSpecific(table: Readonly<Record<string, number>>): (ip: ipaddr.IPv4 | ipaddr.IPv6) => number | undefined {
    const entries = Object.entries(table)
        .map(([range, value]) => ({ cidr: parseRange(range), value }))
        .sort((a, b) => b.cidr[1] - a.cidr[1]);
    return ip => entries.find(({ cidr: [net, bits] }) => net.kind() === ip.kind() && ip.match(net, bits))?.value;
}

function parseRange(range: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
    if (range.includes('/')) {
        return ipaddr.parseCIDR(range);
    }
    const ip = ipaddr.parse(range);
    return [ip, ip.kind() === 'ipv4' ? 32 : 128];
}
