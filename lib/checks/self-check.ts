/** All checks of a pool. What follows from them is judged in judge.ts. */
import type { PoolAddress } from '../pool/pool';
import { atOnce } from './at-once';
import { unbindable } from './bindable';
import type { Lookups } from './dns';
import { finding, type Finding } from './finding';
import { listingFinding } from './listing';
import { ehloFinding, ehloName, ptrFinding } from './names';
import { unrouted } from './routed';

/** A /24 and 256 IPv6 addresses are some thousand questions: no more at once than this. */
const QUESTIONS_AT_ONCE = 20;

type Checked = Pick<PoolAddress, 'address' | 'name'>;

export interface WorldCheck {
    /** Fresh ones: what was known before is not asked again. */
    lookups: Lookups;
    /** Lists that every address is looked up at. */
    dnsbl: readonly string[];
    /** Lists that a provider has named for this address before. */
    globalLists: (address: string) => readonly string[];
    /** Name of this host. */
    hostName: string;
}

/** What only this host can tell: is the address its own, and has it a route to the internet? */
export async function checkHost(addresses: readonly string[]): Promise<Map<string, Finding[]>> {
    const [foreign, cut] = [await unbindable(addresses), await unrouted(addresses)];
    return new Map(
        addresses.map(address => {
            const [bind, route] = [foreign.get(address), cut.get(address)];
            const bindable = bind === undefined ? finding('bindable', 'passed') : finding('bindable', 'failed', `cannot be bound on this host: ${bind}`);
            if (!address.includes(':')) {
                return [address, [bindable]];
            }
            const routed = route === undefined ? finding('route', 'passed') : finding('route', 'failed', `no route to the internet: ${route}`);
            return [address, [bindable, bind === undefined ? routed : finding('route', 'unknown', 'not asked')]];
        })
    );
}

/** What DNS says of each address: its names, and the lists. Never rejects. */
export async function checkWorld(pool: readonly Checked[], { lookups, dnsbl, globalLists, hostName }: WorldCheck): Promise<Map<string, Finding[]>> {
    const found = new Map<string, Finding[]>();
    await atOnce(QUESTIONS_AT_ONCE, pool, async entry => {
        const { address } = entry;
        const findings: Finding[] = [];
        for (const list of dnsbl) {
            findings.push(await listingFinding(lookups, address, list, 'dnsbl'));
        }
        for (const list of globalLists(address)) {
            findings.push(await listingFinding(lookups, address, list, 'global-list'));
        }
        findings.push(await ptrFinding(lookups, address), await ehloFinding(lookups, await ehloName(lookups, entry, hostName)));
        found.set(address, findings);
    });
    return found;
}
