/** An address that gets on a list, a list that one provider only claims, and a PTR record that is gone: what our own look-ups make of it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { accept, refuseShare, reply, REPLIES, reverseName } from '../../bed/internet';
import { startWorld, type World } from '../../bed/world';
import { eventually, logLine, queue } from '../helpers';

/** Several, for ZoneMTA sends few messages at a time to one. */
const OPEN = [1, 2, 3, 4, 5].map(n => `open${n}.example`);
const DNSBL = 'dnsbl.example';
const GLOBAL = 'zen.spamhaus.org';
const LISTED = { A: ['127.0.0.2'] };
/** Of six addresses, that one which takes part gets none of so many happens once in a hundred times. */
const ENOUGH = 25;
/** Where one has to come up, more of them are sent until it does. */
const BATCH = 12;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let world: World;
let sent = 0;
const refused = new Set<string>();

beforeAll(async () => {
    world = await startWorld({
        release: '3.10.3',
        destinations: () => [
            ...OPEN.map(domain => ({ domain, behaviour: accept() })),
            { domain: 'claims.example', behaviour: refuseShare(client => refused.has(client), 'rcpt', REPLIES.spamhaus) },
            { domain: 'names.example', behaviour: refuseShare(client => refused.has(client), 'rcpt', reply('550 5.7.25 Client host rejected: cannot find your reverse hostname, [{client}]')) }
        ],
        // six of the world's addresses, with the names that their PTR records have
        config: host => ({ pools: { default: [1, 2, 3, 4, 5, 6].map(n => ({ address: `127.${host.split('.')[1]}.16.${n}`, name: `out${n + 1}.provider.example` })) } }),
        plugins: { rspamd: false, index: { dnsbl: [DNSBL] }, reputation: { globalLists: [GLOBAL], rerouteBudget: { floor: 1000, perSender: 1000 } } }
    });
    world.dns.add({ [`2.0.0.127.${DNSBL}`]: LISTED, [`2.0.0.127.${GLOBAL}`]: LISTED });
});
afterAll(async () => world?.stop());

const addressOf = (n: number) => `127.${world.k}.16.${n}`;
const entryOf = (n: number, list: string) => `${reverseName(addressOf(n)).replace('.in-addr.arpa', '')}.${list}`;

async function api<T>(path: string, method = 'GET'): Promise<T> {
    return (await world.zonemta.api(`/plugin/smart-relay${path}`, { method })).body as T;
}

interface Suspended {
    provider: string;
    scope: string;
    class: string;
    struck: number;
    until: number;
}

const suspensions = async () => (await api<{ suspensions: Suspended[] }>('/suspensions')).suspensions;
const everywhere = async () => (await suspensions()).filter(({ provider }) => provider === '*').map(({ scope }) => scope);
const leftOut = async () => (await api<{ addresses: { address: string }[] }>('/addresses?state=left-out')).addresses.map(({ address }) => address);

/** The addresses that so many messages came from, as their destination saw it. */
async function clientsOf(domains: readonly string[], count: number): Promise<Set<string>> {
    const mails = Array.from({ length: count }, () => `m${++sent}@${domains[sent % domains.length]}`);
    await Promise.all(mails.map(to => queue(world, { to })));
    const arrived = () => world.farm.ledger.deliveries(({ to }) => mails.includes(to));
    await eventually(`${count} messages`, () => arrived().length === count, MINUTE);
    return new Set(arrived().map(({ client }) => client));
}

/** Sends until one more message has come from there. */
async function getsMail(from: string): Promise<void> {
    await eventually(`mail from ${from}`, async () => (await clientsOf(OPEN, BATCH)).has(from), MINUTE);
}

it('an address on the operator\'s list gets no mail within a round, and the operator is told which and why', async () => {
    world.dns.add({ [entryOf(2, DNSBL)]: LISTED });
    expect(await api('/checks', 'POST')).toEqual({ running: true });
    await eventually('it is suspended', async () => (await everywhere()).includes(addressOf(2)), 30_000);
    const { checks } = await api<{ checks: object }>('/status');
    expect(checks).toMatchObject({ count: 1, failing: [{ address: addressOf(2), check: 'dnsbl', detail: `listed at ${DNSBL} (127.0.0.2)`, leftOut: true }], doubted: [], silentLists: [] });
    expect(await leftOut()).toEqual([addressOf(2)]);
    await logLine(world, new RegExp(`SMART_RELAY_CHECK_FAILED.*"_smart_relay_address":"${addressOf(2)}"`), 10_000);
    expect([...(await clientsOf(OPEN, ENOUGH))]).not.toContain(addressOf(2));
});

it('with DNS away it stays out, and no other address is', async () => {
    world.dns.pause('failing');
    const { at } = (await api<{ checks: { at: number } }>('/status')).checks;
    await api('/checks', 'POST');
    await eventually('the round is over', async () => (await api<{ checks: { at: number } }>('/status')).checks.at > at, MINUTE);
    world.dns.resume();
    expect(await everywhere()).toEqual([addressOf(2)]);
});

it('delisted, it is back by itself', async () => {
    world.dns.add({ [entryOf(2, DNSBL)]: {} });
    await api('/checks', 'POST');
    await eventually('it is suspended no more', async () => (await everywhere()).length === 0, 30_000);
    expect(await leftOut()).toEqual([]);
    await logLine(world, new RegExp(`SMART_RELAY_CHECK_PASSED.*"_smart_relay_address":"${addressOf(2)}"`), 10_000);
    await getsMail(addressOf(2));
});

it('a list that has most of the pool is not believed', async () => {
    world.dns.add(Object.fromEntries([1, 2, 3, 4].map(n => [entryOf(n, DNSBL), LISTED])));
    await api('/checks', 'POST');
    await logLine(world, /SMART_RELAY_CHECK_DOUBTED.*"_smart_relay_failing":"4"/, 30_000);
    expect(await everywhere()).toEqual([]);
    world.dns.add(Object.fromEntries([1, 2, 3, 4].map(n => [entryOf(n, DNSBL), {}])));
});

it('a list of the world that a provider claims suspends there alone; one that really has the address everywhere', async () => {
    const [claimed, listed] = [addressOf(5), addressOf(6)];
    [claimed, listed].forEach(address => refused.add(address));
    world.dns.add({ [entryOf(6, GLOBAL)]: LISTED });
    const wasRefused = (address: string) => world.farm.ledger.attempts({ domain: 'claims.example', client: address, accepted: false }).length > 0;
    await eventually('both are refused', async () => {
        await clientsOf(['claims.example'], BATCH);
        return [claimed, listed].every(wasRefused);
    }, MINUTE);
    await eventually('the listing is confirmed', async () => (await everywhere()).length > 0, 30_000);
    expect(await everywhere()).toEqual([listed]);
    expect((await suspensions()).filter(({ provider }) => provider === 'claims.example').map(({ scope }) => scope)).toEqual(expect.arrayContaining([claimed, listed]));
    expect([...(await clientsOf(OPEN, ENOUGH))]).not.toContain(listed);
    await getsMail(claimed);

    // what the provider says does not end it: DNS does
    world.dns.add({ [entryOf(6, GLOBAL)]: {} });
    await api('/checks', 'POST');
    await eventually('it is suspended there alone', async () => (await everywhere()).length === 0, 30_000);
    await getsMail(listed);
});

it('an address refused for its PTR record is suspended for long only where ours is missing too, and then the operator is told', async () => {
    const [fine, nameless] = [addressOf(3), addressOf(4)];
    refused.clear();
    [fine, nameless].forEach(address => refused.add(address));
    world.dns.add({ [reverseName(nameless)]: {} });
    const of = async (address: string) => (await suspensions()).find(({ provider, scope }) => provider === 'names.example' && scope === address);
    await eventually('both are suspended', async () => {
        await queue(world, { to: `p${sent++}@names.example` });
        return (await of(fine)) !== undefined && (await of(nameless)) !== undefined;
    }, MINUTE);
    const lasts = async (address: string) => of(address).then(found => (found?.until ?? 0) - (found?.struck ?? 0));
    expect(await lasts(fine)).toBeLessThan(5 * MINUTE);
    expect(await lasts(nameless)).toBe(6 * HOUR);
    await logLine(world, new RegExp(`SMART_RELAY_PTR_WRONG.*"_smart_relay_address":"${nameless}"`), 10_000);
});
