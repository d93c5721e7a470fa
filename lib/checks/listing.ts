/** Is an address on a public list? RFC 5782. What a list answers is believed only while its test entries behave. */
import { reversed, type Answer, type Lookups } from './dns';
import { finding, type Finding } from './finding';

export type Listing = 'listed' | 'clear' | 'unknown';

const MAX_CODES = 5;

/**
 * What an answer means. Lists answer with an address in 127.0.0.0/8. 127.255.255.x says that the list refuses the question (asked
 * through a public resolver, too often), and any other address that somebody else answers: a domain that has changed hands.
 */
export function readListing(answer: Answer): Listing {
    if (!answer) {
        return 'unknown';
    }
    if (answer.length === 0) {
        return 'clear';
    }
    return answer.every(code => /^127(?:\.\d{1,3}){3}$/.test(code) && !code.startsWith('127.255.255.')) ? 'listed' : 'unknown';
}

/** Every list has an entry for 127.0.0.2 and none for 127.0.0.1 (RFC 5782, 5). A list that has died lists nothing, or everything. */
export async function isBelievable(lookups: Lookups, list: string): Promise<boolean> {
    const ask = async (address: string) => readListing(await lookups.addresses(`${reversed(address)}.${list}`, 'ipv4'));
    // one of IPv4 alone has no test entry for IPv6, but must not list the whole of it
    const answers = await Promise.all([ask('127.0.0.2'), ask('127.0.0.1'), ask('::ffff:7f00:1')]);
    return answers.join() === 'listed,clear,clear';
}

/** @param check whose list it is: the operator's own choice, or one that a provider has named */
export async function listingFinding(lookups: Lookups, address: string, list: string, check: 'dnsbl' | 'global-list'): Promise<Finding> {
    if (!(await isBelievable(lookups, list))) {
        return finding(check, 'unknown', `${list} does not answer as a list does`, list);
    }
    const answer = await lookups.addresses(`${reversed(address)}.${list}`, 'ipv4');
    switch (readListing(answer)) {
        case 'listed':
            return finding(check, 'failed', `listed at ${list} (${(answer ?? []).slice(0, MAX_CODES).join(', ')})`, list);
        case 'clear':
            return finding(check, 'passed', '', list);
        case 'unknown':
            return finding(check, 'unknown', `no answer from ${list}`, list);
    }
}
