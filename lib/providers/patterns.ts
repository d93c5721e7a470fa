/** Names of MX hosts → provider key. Pure but for reading the table. */
import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { getDomain } from 'tldts';
import * as v from 'valibot';

export interface Provider {
    key: string;
    /** A gateway with many customers: what is learnt counts for the recipient's domain. */
    tenants: boolean;
    suffixes: readonly string[];
    hosts: readonly string[];
}

const Table = v.strictObject({
    provider: v.array(
        v.strictObject({
            key: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]*$/, 'a key has lower-case letters, digits and dashes')),
            mx: v.pipe(v.array(v.pipe(v.string(), v.regex(/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'a pattern is a host name, or "*." and a host name'))), v.minLength(1)),
            tenants: v.optional(v.boolean(), false)
        })
    )
});

/**
 * Reads provider tables, the first file's entries first.
 *
 * @throws Error that names the file and what is wrong in it
 */
export function loadProviders(files: readonly string[]): Provider[] {
    return files.flatMap(file => {
        try {
            return v.parse(Table, parse(readFileSync(file, 'utf8'))).provider.map(({ key, mx, tenants }) => ({
                key,
                tenants,
                suffixes: mx.filter(pattern => pattern.startsWith('*.')).map(pattern => pattern.slice(1)),
                hosts: mx.filter(pattern => !pattern.startsWith('*.'))
            }));
        } catch (err) {
            throw new Error(`${file}: ${v.isValiError<typeof Table>(err) ? describe(err.issues) : (err as Error).message}`, { cause: err });
        }
    });
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
