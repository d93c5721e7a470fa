/** What the checks find out about an address, whatever this host and DNS answer. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { unbindable } from '../../lib/checks/bindable';
import { Lookups, reversed, type CheckResolver } from '../../lib/checks/dns';
import { finding, withLast } from '../../lib/checks/finding';
import { isBelievable, listingFinding, readListing } from '../../lib/checks/listing';
import { ehloFinding, ehloName, ptrFinding } from '../../lib/checks/names';
import { unrouted } from '../../lib/checks/routed';
import { checkHost, checkWorld } from '../../lib/checks/self-check';
import { addLoopback6 } from '../bed/loopback6';

const run = promisify(execFile);

const LIST = 'dnsbl.example';
const TEST_ENTRY = { [`a 2.0.0.127.${LIST}`]: ['127.0.0.2'] };
const SIX = '2001:db8::1';
const SIX_REVERSED = '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2';

const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** DNS that knows these records by "type name"; all else does not exist. An error is thrown, `never` is not answered. */
function dnsWith(records: Record<string, unknown>): CheckResolver & { asked: string[] } {
    const asked: string[] = [];
    const answer = (type: string) => async (name: string) => {
        const key = `${type} ${name}`;
        asked.push(key);
        const found = key in records ? records[key] : records['*'];
        if (found === 'never') {
            return new Promise<never>(() => undefined);
        }
        if (found instanceof Error || found === undefined) {
            throw found ?? failure('ENOTFOUND');
        }
        return found as string[];
    };
    return { a: answer('a'), aaaa: answer('aaaa'), ptr: answer('ptr'), asked };
}

const lookups = (records: Record<string, unknown>, deadline = 50) => new Lookups(dnsWith(records), deadline);

describe('the check that an address can be bound', () => {
    it('passes addresses of this host and names those that are not its own, with the reason', async () => {
        expect(await unbindable(['127.0.0.1', '203.0.113.1', '127.77.0.9', '2001:db8:ffff::1'])).toEqual(
            new Map([
                ['2001:db8:ffff::1', expect.stringMatching(/^EADDRNOTAVAIL|EAFNOSUPPORT$/)],
                ['203.0.113.1', 'EADDRNOTAVAIL']
            ])
        );
    });

    it('passes an address that is busy', async () => {
        const server = createServer().listen(0, '127.77.0.10');
        await once(server, 'listening');
        try {
            expect(await unbindable(['127.77.0.10'])).toEqual(new Map());
        } finally {
            server.close();
        }
    });

    it('takes a whole /22 at once', async () => {
        const pool = Array.from({ length: 1024 }, (_, n) => `127.77.${n >> 8}.${n & 255}`);
        expect(await unbindable([...pool, '203.0.113.1'])).toEqual(new Map([['203.0.113.1', 'EADDRNOTAVAIL']]));
    });
});

describe('the check for a route', () => {
    it('asks for IPv6 only, and what cannot be bound is no matter of routes', async () => {
        expect(await unrouted(['127.0.0.1', '2001:db8:ffff::1'])).toEqual(new Map());
        const found = await checkHost(['127.0.0.1', '2001:db8:ffff::1']);
        expect(found.get('127.0.0.1')).toEqual([finding('bindable', 'passed')]);
        expect(found.get('2001:db8:ffff::1')).toMatchObject([{ check: 'bindable', result: 'failed' }, { check: 'route', result: 'unknown' }]);
    });

    it('fails an address whose way out is barred, and no other', async context => {
        const [free, barred] = ['2001:db8:5555::1', '2001:db8:5555::2'];
        const lo = await addLoopback6([free, barred]);
        const rule = (verb: string) => run('ip', ['-6', 'rule', verb, 'from', barred, 'unreachable']);
        try {
            const isOnline = lo.addresses.length > 0 && (await unrouted([free])).size === 0;
            context.skip(!isOnline, 'needs a route for IPv6, and the right to add addresses and rules');
            await rule('add');
            expect(await unrouted([free, barred])).toEqual(new Map([[barred, 'ENETUNREACH']]));
        } finally {
            await rule('del').catch(() => undefined);
            await lo.remove();
        }
    });
});

describe('a name in DNS for an address', () => {
    it('has the octets, or the nibbles, the last first', () => {
        expect(reversed('192.0.2.99')).toBe('99.2.0.192');
        expect(reversed(SIX)).toBe(SIX_REVERSED);
    });
});

describe('what a list answers', () => {
    it.each([
        ['nothing there', [], 'clear'],
        ['one code', ['127.0.0.2'], 'listed'],
        ['several codes', ['127.0.0.2', '127.0.0.10'], 'listed'],
        ['no answer', undefined, 'unknown'],
        ['"ask me through your own resolver"', ['127.255.255.254'], 'unknown'],
        ['"you ask too often", beside a code', ['127.0.0.2', '127.255.255.255'], 'unknown'],
        ['a web server, for the domain has changed hands', ['1.2.3.4'], 'unknown'],
        ['a code and a web server', ['127.0.0.2', '203.0.113.1'], 'unknown'],
        ['a name that only begins like a code', ['127.0.0.2.example'], 'unknown'],
        ['an IPv6 address', ['::ffff:127.0.0.2'], 'unknown']
    ])('%s', (_name, answer, meaning) => {
        expect(readListing(answer)).toBe(meaning);
    });

    it('counts as a listing for answers that are all codes and for no others', () => {
        const code = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).map(([b, c, d]) => `127.${b}.${c}.${d}`);
        fc.assert(
            fc.property(fc.array(fc.oneof(code, fc.ipV4(), fc.ipV6(), fc.string()), { maxLength: 5 }), answer => {
                const codes = answer.every(text => /^127\.\d+\.\d+\.\d+$/.test(text) && !text.startsWith('127.255.255.'));
                expect(readListing(answer)).toBe(answer.length === 0 ? 'clear' : codes ? 'listed' : 'unknown');
            })
        );
    });
});

describe('a list', () => {
    it.each([
        ['has its test entry', TEST_ENTRY, true],
        ['has no test entry: it is dead', {}, false],
        ['lists everything', { '*': ['127.0.0.2'] }, false],
        ['lists what must not be listed', { ...TEST_ENTRY, [`a 1.0.0.127.${LIST}`]: ['127.0.0.2'] }, false],
        ['lists all of IPv6', { ...TEST_ENTRY, [`a ${reversed('::ffff:7f00:1')}.${LIST}`]: ['127.0.0.2'] }, false],
        ['refuses the question', { '*': ['127.255.255.254'] }, false],
        ['fails', { '*': failure('ESERVFAIL') }, false],
        ['says nothing', { '*': 'never' }, false]
    ])('%s', async (_name, records, believed) => {
        expect(await isBelievable(lookups(records), LIST)).toBe(believed);
    });

    it('that is not believed says nothing about an address', async () => {
        expect(await listingFinding(lookups({ '*': ['127.0.0.2'] }), '192.0.2.1', LIST, 'dnsbl')).toMatchObject({ result: 'unknown', list: LIST });
    });

    it('names the address that it has, of both families, with the code', async () => {
        const records = { ...TEST_ENTRY, [`a 1.2.0.192.${LIST}`]: ['127.0.0.2', '127.0.0.4'], [`a ${SIX_REVERSED}.${LIST}`]: ['127.0.0.3'] };
        expect(await listingFinding(lookups(records), '192.0.2.1', LIST, 'dnsbl')).toEqual(finding('dnsbl', 'failed', 'listed at dnsbl.example (127.0.0.2, 127.0.0.4)', LIST));
        expect(await listingFinding(lookups(records), SIX, LIST, 'global-list')).toMatchObject({ check: 'global-list', result: 'failed' });
        expect(await listingFinding(lookups(records), '192.0.2.2', LIST, 'dnsbl')).toMatchObject({ result: 'passed' });
    });

    it.each([failure('ESERVFAIL'), failure('ETIMEOUT'), 'never', ['127.255.255.254'], 'a text', [5, null], { length: 3 }])('that answers %j for an address has not listed it', async answer => {
        const { result } = await listingFinding(lookups({ ...TEST_ENTRY, [`a 1.2.0.192.${LIST}`]: answer }), '192.0.2.1', LIST, 'dnsbl');
        expect(result).not.toBe('failed');
    });
});

describe('the PTR record', () => {
    const PTR = 'ptr 1.2.0.192.in-addr.arpa';
    it.each<[string, Record<string, unknown>, string]>([
        ['leads back', { [PTR]: ['out1.example'], 'a out1.example': ['192.0.2.1'] }, 'passed'],
        ['leads back by one of its names', { [PTR]: ['old.example', 'out1.example'], 'a out1.example': ['192.0.2.9', '192.0.2.1'] }, 'passed'],
        ['is not there', {}, 'failed'],
        ['leads elsewhere', { [PTR]: ['out1.example'], 'a out1.example': ['192.0.2.2'] }, 'failed'],
        ['has a name that does not exist', { [PTR]: ['out1.example'] }, 'failed'],
        ['has a name that is none', { [PTR]: ['not a name\r\n', '', '1.2.3.4:5'] }, 'failed'],
        ['is not answered', { [PTR]: failure('ESERVFAIL') }, 'unknown'],
        ['has a name that is not answered', { [PTR]: ['out1.example'], 'a out1.example': 'never' }, 'unknown'],
        ['is of no known shape', { [PTR]: { name: 'x' } }, 'unknown'],
        ['is huge', { [PTR]: Array.from({ length: 10_000 }, (_, n) => `${'x'.repeat(60)}${n}.example`) }, 'failed'],
        ['leads to what is no address', { [PTR]: ['out1.example'], 'a out1.example': ['192.0.2', 'x', 5] }, 'failed']
    ])('%s', async (_name, records, result) => {
        const resolver = dnsWith(records);
        const found = await ptrFinding(new Lookups(resolver, 50), '192.0.2.1');
        expect(found.result).toBe(result);
        expect(found.detail).toMatch(/^[^\r\n]{0,200}$/);
        expect(resolver.asked.length).toBeLessThanOrEqual(6);
    });

    it('of an IPv6 address leads back however the address is written', async () => {
        const records = { [`ptr ${SIX_REVERSED}.ip6.arpa`]: ['six.example'], 'aaaa six.example': ['2001:0db8:0:0::0001'] };
        expect((await ptrFinding(lookups(records), SIX)).result).toBe('passed');
    });
});

describe('the EHLO name', () => {
    it.each<[string, Record<string, unknown>, string]>([
        ['out1.example', { 'a out1.example': ['192.0.2.1'] }, 'passed'],
        ['six.example', { 'aaaa six.example': [SIX] }, 'passed'],
        ['[192.0.2.1]', {}, 'passed'],
        ['gone.example', {}, 'failed'],
        ['localhost', {}, 'failed'],
        ['no name\n', {}, 'failed'],
        ['', {}, 'failed'],
        ['silent.example', { '*': 'never' }, 'unknown'],
        ['half.example', { 'aaaa half.example': failure('ESERVFAIL') }, 'unknown']
    ])('%j', async (name, records, result) => {
        expect((await ehloFinding(lookups(records), name)).result).toBe(result);
    });

    it('is the pool\'s, else that of the PTR record, else the host\'s, as ZoneMTA has it', async () => {
        const known = lookups({ 'ptr 1.2.0.192.in-addr.arpa': ['ptr.example'] });
        expect(await ehloName(known, { address: '192.0.2.1', name: 'pool.example' }, 'host.example')).toBe('pool.example');
        expect(await ehloName(known, { address: '192.0.2.1', name: '' }, 'host.example')).toBe('ptr.example');
        expect(await ehloName(known, { address: '192.0.2.2', name: '' }, 'host.example')).toBe('host.example');
    });
});

describe('a round of questions', () => {
    const pool = Array.from({ length: 300 }, (_, n) => ({ address: `192.0.${n >> 8}.${n & 255}`, name: 'relay.example' }));

    it('asks for each name once, and never more than twenty at the same time', async () => {
        const resolver = dnsWith(TEST_ENTRY);
        let [now, most] = [0, 0];
        const counted = (ask: (name: string) => Promise<string[]>) => async (name: string) => {
            most = Math.max(most, ++now);
            await new Promise(resolve => setImmediate(resolve));
            return ask(name).finally(() => now--);
        };
        const busy = { a: counted(name => resolver.a(name)), aaaa: counted(name => resolver.aaaa(name)), ptr: counted(name => resolver.ptr(name)) };
        const found = await checkWorld(pool, { lookups: new Lookups(busy), dnsbl: [LIST], globalLists: () => [], hostName: '' });
        expect(found.size).toBe(300);
        expect(resolver.asked.length).toBe(new Set(resolver.asked).size);
        expect(resolver.asked.filter(question => question.endsWith(`127.${LIST}`)).length).toBe(2);
        expect(most).toBeLessThanOrEqual(20);
    });

    it('with DNS away fails no address', async () => {
        vi.useFakeTimers();
        try {
            const round = checkWorld(pool.slice(0, 30), { lookups: lookups({ '*': 'never' }), dnsbl: [LIST], globalLists: () => [LIST], hostName: '' });
            await vi.runAllTimersAsync();
            expect(new Set([...(await round).values()].flat().map(({ result }) => result))).toEqual(new Set(['unknown']));
        } finally {
            vi.useRealTimers();
        }
    });

    it('that is not answered keeps what was known', () => {
        const [bad, good, none] = [finding('dnsbl', 'failed', 'listed', LIST), finding('dnsbl', 'passed', '', LIST), finding('dnsbl', 'unknown', '', LIST)];
        const last = new Map([['192.0.2.1', [bad]], ['192.0.2.2', [good]], ['192.0.2.9', [bad]]]);
        const now = new Map([['192.0.2.1', [none]], ['192.0.2.2', [none]], ['192.0.2.3', [none]]]);
        expect(withLast(now, last)).toEqual(new Map([['192.0.2.1', [bad]], ['192.0.2.2', [good]], ['192.0.2.3', [none]]]));
        expect(withLast(new Map([['192.0.2.1', [good]]]), last)).toEqual(new Map([['192.0.2.1', [good]]]));
    });
});
