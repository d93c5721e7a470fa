import { isIP } from 'node:net';
import * as v from 'valibot';

/** A whole number from min to max. */
export function wholeNumber(min: number, max: number) {
    const allowed = `a whole number from ${min} to ${max}`;
    return v.pipe(
        v.number(allowed),
        v.check(value => Number.isInteger(value) && value >= min && value <= max, allowed)
    );
}

/** A number from min to max. */
export function numberBetween(min: number, max: number) {
    const allowed = `a number from ${min} to ${max}`;
    return v.pipe(
        v.number(allowed),
        v.check(value => value >= min && value <= max, allowed)
    );
}

export const flag = v.boolean('true or false');

const A_ZONE = 'the name of a sending zone, in lower case';

/** ZoneMTA lowers the names of its zones: one in capitals would never match a delivery. */
export const zoneName = v.pipe(
    v.string(A_ZONE),
    v.check(name => name !== '' && name === name.toLowerCase().trim(), A_ZONE)
);

const LISTS = 'a list of up to 20 DNS zones like "zen.spamhaus.org", each once';

/** Zones of public lists. The longest name asked for is an IPv6 address in front of one: 64 characters of 253. */
export const dnsLists = v.pipe(
    v.array(v.pipe(v.string(LISTS), v.regex(/^(?=.{4,189}$)(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}$/, LISTS)), LISTS),
    v.check(lists => lists.length <= 20 && new Set(lists).size === lists.length, LISTS)
);

const A_NETWORK = 'an address or a network like "192.0.2.0/24" or "2001:db8::/32"';

/** An address or a network in CIDR notation. Comes out with its prefix length always: "192.0.2.1" as "192.0.2.1/32". */
export const network = v.pipe(
    v.string(A_NETWORK),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const [address = '', bits, ...more] = dataset.value.split('/');
        // A scope ("fe80::1%eth0") is an address to Node, but not to anything that compares networks.
        const family = address.includes('%') ? 0 : isIP(address);
        const longest = family === 4 ? 32 : 128;
        const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= longest);
        if (family === 0 || !fits || more.length > 0) {
            addIssue({ message: A_NETWORK });
            return NEVER;
        }
        return `${address}/${bits === undefined ? longest : Number(bits)}`;
    })
);

const A_NODE = 'a host and a port like "192.0.2.1:6379" or "[2001:db8::1]:6379"';

/** A server by name or address. Comes out as `{host, port}`. */
export const hostAndPort = v.pipe(
    v.string(A_NODE),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const [, inBrackets, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(dataset.value) ?? [];
        const port = Number(digits);
        if (!(port >= 1 && port <= 65_535) || (name === undefined && isIP(inBrackets ?? '') !== 6)) {
            addIssue({ message: A_NODE });
            return NEVER;
        }
        return { host: name ?? inBrackets ?? '', port };
    })
);
