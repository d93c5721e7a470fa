/** What a check found out about an address. */

/** In the order in which their failings count. The first two are of this host, the others of the world. */
export const CHECKS = ['bindable', 'route', 'dnsbl', 'global-list', 'ptr', 'ehlo'] as const;
export type CheckName = (typeof CHECKS)[number];

export const HOST_CHECKS: readonly CheckName[] = ['bindable', 'route'];

/** `unknown`: the check could not be made, which is no failing of the address. */
export type Result = 'passed' | 'failed' | 'unknown';

export interface Finding {
    check: CheckName;
    result: Result;
    /** For people: what was found. Empty when it passed. */
    detail: string;
    /** The list that was asked; empty for all other checks. */
    list: string;
}

/** Findings by address. */
export type Findings = ReadonlyMap<string, readonly Finding[]>;

export function finding(check: CheckName, result: Result, detail = '', list = ''): Finding {
    return { check, result, detail, list };
}

/** Where DNS did not tell this time, what it told last holds. */
export function withLast(now: Findings, last: Findings): Findings {
    return new Map(
        [...now].map(([address, findings]) => {
            const before = last.get(address) ?? [];
            return [address, findings.map(found => (found.result === 'unknown' ? (before.find(({ check, list }) => check === found.check && list === found.list) ?? found) : found))];
        })
    );
}
