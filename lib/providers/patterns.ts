/** Names of MX hosts → provider key, and the pace that a provider is sent mail at. Pure but for reading the table. */
import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { getDomain } from 'tldts';
import * as v from 'valibot';
import { wholeNumber } from '../settings/values';

export interface Provider {
    key: string;
    /** A gateway with many customers: what is learnt counts for the recipient's domain. */
    tenants: boolean;
    suffixes: readonly string[];
    hosts: readonly string[];
}

const Limit = v.strictObject({ messages: wholeNumber(1, 1_000_000), connections: v.optional(wholeNumber(1, 10_000)) });
const PaceEntry = { address: v.optional(Limit), pool: v.optional(Limit), perConnection: v.optional(wholeNumber(1, 10_000)), source: v.optional(v.string()) };

/** Messages a minute and deliveries at the same time, of each source address and of the whole pool; messages on one connection; where the figures are from. */
export type ProviderPace = v.InferOutput<v.ObjectSchema<typeof PaceEntry, undefined>>;

const Entry = v.strictObject({
    key: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]*$/, 'a key has lower-case letters, digits and dashes')),
    mx: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'a pattern is a host name, or "*." and a host name'))), v.minLength(1))),
    tenants: v.optional(v.boolean(), false),
    pace: v.optional(v.strictObject(PaceEntry))
});
const Table = v.strictObject({
    default: v.optional(v.strictObject(PaceEntry)),
    provider: v.optional(v.array(v.pipe(Entry, v.check(({ mx, pace }) => mx !== undefined || pace !== undefined, 'mx is missing: without it an entry has a pace to change'))), [])
});

export interface Providers {
    /** In the order in which they are asked whether an MX is theirs. */
    patterns: readonly Provider[];
    /** What is asked with is a provider key; the customers of a gateway have its pace, each for itself. */
    paceOf: (provider: string) => ProviderPace;
}

/**
 * Reads provider tables, the first file's entries first. An entry without patterns only changes a pace: the first file that has one for a provider
 * decides, whole; `default` is for all others.
 *
 * @throws Error that names the file and what is wrong in it
 */
export function loadProviders(files: readonly string[]): Providers {
    const tables = files.map(readTable);
    const entries = tables.flatMap(table => table.provider);
    const patterns = entries.flatMap(({ key, mx, tenants }) =>
        mx === undefined
            ? []
            : [
                  {
                      key,
                      tenants,
                      suffixes: mx.filter(pattern => pattern.startsWith('*.')).map(pattern => pattern.slice(1)),
                      hosts: mx.filter(pattern => !pattern.startsWith('*.'))
                  }
              ]
    );
    // the first one of a key is to stay
    const paces = new Map(entries.flatMap(({ key, pace }) => (pace ? [[key, pace] as const] : [])).reverse());
    const others = tables.find(table => table.default)?.default ?? {};
    return { patterns, paceOf: provider => paces.get(provider.split(':')[0] ?? '') ?? others };
}

function readTable(file: string): v.InferOutput<typeof Table> {
    try {
        return v.parse(Table, parse(readFileSync(file, 'utf8')));
    } catch (err) {
        throw new Error(`${file}: ${v.isValiError<typeof Table>(err) ? describe(err.issues) : (err as Error).message}`, { cause: err });
    }
}

/**
 * The provider key of a recipient's domain: the first table entry that knows its best MX, for a gateway with tenants the
 * key and the domain; else the registrable domain of the MX (public suffix list); else, without an MX, the domain.
 *
 * @param exchanges MX host names in the order of preference, lower case
 */
export function providerKey(domain: string, exchanges: readonly string[], providers: readonly Provider[]): string {
    const [best] = exchanges;
    if (best === undefined) {
        return domain;
    }
    const known = providers.find(({ suffixes, hosts }) => hosts.includes(best) || suffixes.some(suffix => best.endsWith(suffix)));
    if (known) {
        return known.tenants ? `${known.key}:${domain}` : known.key;
    }
    return getDomain(best, { allowPrivateDomains: true }) ?? domain;
}

function describe(issues: readonly v.InferIssue<typeof Table>[]): string {
    return issues.map(issue => `${v.getDotPath(issue) ?? 'file'}: ${issue.message}`).join('; ');
}
