/** The names of an address: what receivers look up about it (RFC 1912, 2.1; RFC 5321, 4.1.4). */
import ipaddr from 'ipaddr.js';
import { oneLine } from '../delivery/state';
import type { Lookups } from './dns';
import { finding, type Finding } from './finding';

/** No receiver follows more names of one address. */
const MAX_NAMES = 5;
const MAX_SHOWN = 100;
const HOST_NAME = /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}\.?$/i;

/** Has the address a name, and that name the address (forward-confirmed)? */
export async function ptrFinding(lookups: Lookups, address: string): Promise<Finding> {
    const names = await lookups.names(address);
    if (!names) {
        return finding('ptr', 'unknown', 'no answer to the question for its PTR record');
    }
    const [first] = names;
    if (first === undefined) {
        return finding('ptr', 'failed', 'there is no PTR record');
    }
    let silent = false;
    for (const name of names.slice(0, MAX_NAMES).filter(candidate => HOST_NAME.test(candidate))) {
        const found = await lookups.addresses(name, address.includes(':') ? 'ipv6' : 'ipv4');
        if (found?.some(other => same(other, address))) {
            return finding('ptr', 'passed');
        }
        silent ||= !found;
    }
    return silent ? finding('ptr', 'unknown', 'no answer for the name of its PTR record') : finding('ptr', 'failed', `${shown(first)} of its PTR record does not lead back to it`);
}

/** Does the name that is said in EHLO resolve? An address literal is allowed, and has nothing to resolve. */
export async function ehloFinding(lookups: Lookups, name: string): Promise<Finding> {
    if (/^\[[^\]]+\]$/.test(name)) {
        return finding('ehlo', 'passed');
    }
    if (!HOST_NAME.test(name)) {
        return finding('ehlo', 'failed', `the EHLO name ${shown(name)} is no host name`);
    }
    let silent = false;
    for (const family of ['ipv4', 'ipv6'] as const) {
        const found = await lookups.addresses(name, family);
        if (found && found.length > 0) {
            return finding('ehlo', 'passed');
        }
        silent ||= !found;
    }
    return silent ? finding('ehlo', 'unknown', 'no answer for the EHLO name') : finding('ehlo', 'failed', `the EHLO name ${shown(name)} does not resolve`);
}

/** The name that ZoneMTA says where the pool has none: that of the PTR record, else the host's (lib/sending-zone.js). */
export async function ehloName(lookups: Lookups, { address, name }: { address: string; name: string }, hostName: string): Promise<string> {
    return name || (await lookups.names(address))?.[0] || hostName;
}

function same(one: string, other: string): boolean {
    return ipaddr.isValid(one) && ipaddr.parse(one).toString() === other;
}

function shown(name: string): string {
    return oneLine(name, MAX_SHOWN);
}
