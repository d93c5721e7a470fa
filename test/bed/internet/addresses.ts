import ipaddr from 'ipaddr.js';

/**
 * Where the other side's machines live in world `k`, the loopback network 127.k.0.0/16. The operator's own pool lies
 * elsewhere in it, from 127.k.16.0 upwards.
 */
export function dnsAddress(k: number): string {
    return `127.${k}.0.1`;
}

/** IPv4 address of the n-th MX host, from 1. */
export function mxAddress4(k: number, n: number): string {
    return `127.${k}.1.${n}`;
}

/** IPv6 address of the n-th MX host. The caller puts it on `lo`: unlike 127.0.0.0/8 it is not there by itself. */
export function mxAddress6(k: number, n: number): string {
    return `2001:db8:${k}:ffff::${n.toString(16)}`;
}

/** Address of the n-th external relay, from 1. */
export function relayAddress(k: number, n = 1): string {
    return `127.${k}.2.${n}`;
}

/** Address of the server that holds the senders' mailboxes. */
export function sinkAddress(k: number): string {
    return `127.${k}.3.1`;
}

/** One spelling for an address: without the ::ffff: of a mapped one, IPv6 as in RFC 5952. */
export function canonical(address: string): string {
    return ipaddr.process(address).toString();
}

/** Name of the PTR record of an address. */
export function reverseName(address: string): string {
    const parsed = ipaddr.parse(address);
    if (parsed.kind() === 'ipv4') {
        return `${address.split('.').reverse().join('.')}.in-addr.arpa`;
    }
    const nibbles = parsed.toByteArray().map(byte => byte.toString(16).padStart(2, '0')).join('');
    return `${[...nibbles].reverse().join('.')}.ip6.arpa`;
}
