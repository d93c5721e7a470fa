/** A delivery as lib/sender.js of ZoneMTA hands it over and reads it back: route, reply, course. */
import type { SenderConnection, SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import { describe, expect, it } from 'vitest';
import { freshState } from '../../lib/delivery/state';
import type { DeliveryState } from '../../lib/delivery/types';
import { deferredCount, endAfter, isRelayed, knowConnection, readReply, setCourse, setRoute, sourceOf, stateOf, turnOf, type Course, type Route } from '../../lib/zonemta/delivery';

function delivery(fields: Record<string, unknown> = {}): SenderDelivery {
    return { id: '19b0c8d7e2f000a1b2', seq: '001', domain: 'theirs.example', sendingZone: 'default', ...fields } as unknown as SenderDelivery;
}

function connection(options: SenderConnection['options']): SenderConnection {
    return { options, close: () => undefined, login: () => undefined };
}

const V4 = { address: '192.0.2.7', name: 'out7.example', family: 'ipv4' as const };
const V6 = { address: '2001:db8::7', name: 'six7.example', family: 'ipv6' as const };
const HOSTS: Route['hosts'] = [
    { exchange: 'mx1.example', priority: 10, A: ['198.51.100.1'], AAAA: ['2001:db8:f::1'] },
    { exchange: 'mx2.example', priority: 10, A: ['198.51.100.2'], AAAA: [] },
    { exchange: 'mx3.example', priority: 20, A: [], AAAA: ['2001:db8:f::3'] }
];
const ROUTE: Route = { first: V4, other: V6, hosts: HOSTS, port: 25 };

/** The MX addresses in the order in which mx-connect would try them: by priority, A before AAAA. */
function order({ mx }: SenderDelivery): string[] {
    const records = [...((mx ?? []) as { priority: number; A: string[]; AAAA: string[] }[])];
    return records.sort((a, b) => a.priority - b.priority).flatMap(({ A, AAAA }) => [...A, ...AAAA]);
}

function routed(route: Partial<Route>, fields: Record<string, unknown> = {}): SenderDelivery {
    const subject = delivery({ zoneAddressIPv4: { address: '192.0.2.1' }, zoneAddressIPv6: { address: '2001:db8::1' }, ...fields });
    setRoute(subject, { ...ROUTE, ...route });
    return subject;
}

describe('the route of a delivery', () => {
    it('over IPv4 tries the IPv4 addresses of all hosts of a priority first', () => {
        const subject = routed({});
        expect(order(subject)).toEqual(['198.51.100.1', '198.51.100.2', '2001:db8:f::1', '2001:db8:f::3']);
        expect(subject).toMatchObject({ zoneAddressIPv4: V4, zoneAddressIPv6: V6, connectionKey: '192.0.2.7:theirs.example:25' });
    });

    it('over IPv6 tries the IPv6 addresses first', () => {
        const subject = routed({ first: V6, other: V4 });
        expect(order(subject)).toEqual(['2001:db8:f::1', '198.51.100.1', '198.51.100.2', '2001:db8:f::3']);
        expect(subject).toMatchObject({ zoneAddressIPv4: V4, zoneAddressIPv6: V6, connectionKey: '2001:db8::7:theirs.example:25' });
    });

    it('never mixes the families in one record, whatever ZoneMTA would do with it', () => {
        for (const { A, AAAA, mx } of routed({}).mx as { A: string[]; AAAA: string[]; mx: boolean }[]) {
            expect(Math.min(A.length, AAAA.length)).toBe(0);
            expect(mx).toBe(true);
        }
    });

    it('of a greylisted delivery begins with the MX that greylisted it', () => {
        expect(order(routed({ mx: 'mx2.example' }))[0]).toBe('198.51.100.2');
        expect(order(routed({ mx: 'mx3.example', first: V6, other: V4 }))[0]).toBe('2001:db8:f::3');
    });

    it("without an answer of DNS leaves the MX to ZoneMTA's own look-up", () => {
        expect(routed({ hosts: [] })).not.toHaveProperty('mx');
        expect(routed({ hosts: [{ exchange: '', priority: 0, A: [], AAAA: [] }] })).not.toHaveProperty('mx');
    });

    it('in a zone without IPv6 sets the one address that ZoneMTA reads there', () => {
        const subject = delivery({ zoneAddress: { address: '192.0.2.1', name: 'old.example' } });
        setRoute(subject, { ...ROUTE, other: undefined });
        expect(subject).toMatchObject({ zoneAddress: { address: '192.0.2.7', name: 'out7.example' } });
        expect(subject).not.toHaveProperty('zoneAddressIPv4');
    });

    it('another address or port is another connection', () => {
        const keys = [routed({}), routed({ first: V6 }), routed({ port: 2525 }), routed({}, { domain: 'other.example' })].map(subject => subject.connectionKey);
        expect(new Set(keys).size).toBe(4);
    });
});

describe('the connection of an attempt', () => {
    it('is filed under the address that it has, and names its MX', () => {
        const subject = delivery({ connectionKey: '2001:db8::7:theirs.example:25' });
        knowConnection(subject, connection({ host: '198.51.100.1', servername: 'mx1.example', localAddress: '192.0.2.9' }), 25);
        expect(subject).toMatchObject({ connectionKey: '192.0.2.9:theirs.example:25', mxHostname: 'mx1.example' });
    });

    it('keeps its key when the address is not known', () => {
        const subject = delivery({ connectionKey: 'kept' });
        knowConnection(subject, connection({ host: '198.51.100.1' }), 25);
        expect(subject).toMatchObject({ connectionKey: 'kept', mxHostname: '198.51.100.1' });
    });

    it('is not kept after the last of the messages that it may take', () => {
        const keyAfter = (usageCount: number | undefined, messages: number) => {
            const subject = delivery({ connectionKey: 'kept' });
            endAfter(subject, { ...connection({}), ...(usageCount === undefined ? {} : { usageCount }) }, messages);
            return subject.connectionKey;
        };
        expect([keyAfter(undefined, 2), keyAfter(1, 2), keyAfter(undefined, 1), keyAfter(50, Infinity)]).toEqual(['kept', '', '', 'kept']);
    });

    it('tells the source address, mapped ones in their IPv4 form', () => {
        expect(sourceOf(connection({ localAddress: '::ffff:192.0.2.9' }))).toBe('192.0.2.9');
        expect(sourceOf(connection({ localAddress: '2001:db8::7' }))).toBe('2001:db8::7');
        expect([sourceOf(false), sourceOf(undefined), sourceOf(connection({}))]).toEqual(['', '', '']);
    });
});

/** Errors as nodemailer's SMTPConnection and lib/sender.js make them. */
function failure(message: string, fields: Partial<SenderDeliveryError> = {}): SenderDeliveryError {
    return Object.assign(new Error(message), fields);
}

function smtp(response: string, code: string, command: string, more: Partial<SenderDeliveryError> = {}): SenderDeliveryError {
    return failure(`Failed: ${response}`, { response, responseCode: Number(response.slice(0, 3)), code, command, ...more });
}

const OPEN = connection({ host: '198.51.100.1' });

describe('what the other side said', () => {
    it.each([
        ['at the greeting', smtp('554 blocked', 'EPROTOCOL', 'CONN', { netConnected: true, category: 'network', temporary: true }), undefined, 'greeting', 554],
        ['to EHLO', smtp('550 go away', 'ECONNECTION', 'EHLO', { netConnected: true }), undefined, 'ehlo', 550],
        ['to STARTTLS', smtp('454 no TLS', 'ETLS', 'STARTTLS', { netConnected: true }), undefined, 'tls', 454],
        ['to the login', smtp('535 5.7.8 Authentication failed', 'EAUTH', 'AUTH PLAIN', { netConnected: true }), undefined, 'auth', 535],
        ['to MAIL FROM', smtp('550 5.7.1 no', 'EENVELOPE', 'MAIL FROM'), OPEN, 'mail', 550],
        ['to RCPT TO', smtp('550 5.1.1 unknown', 'EENVELOPE', 'RCPT TO'), OPEN, 'rcpt', 550],
        ['to DATA', smtp('451 later', 'EENVELOPE', 'DATA'), OPEN, 'data', 451],
        ['to the final dot', smtp('550 5.7.1 spam', 'EMESSAGE', 'DATA'), OPEN, 'end-of-data', 550]
    ] as const)('%s', (_name, err, open, stage, code) => {
        const reply = readReply(open, err);
        expect(reply).toMatchObject({ stage, code, text: err.response });
        expect(reply).not.toHaveProperty('replayed', true);
    });

    it('by closing the connection with a reply is that reply', () => {
        expect(readReply(OPEN, smtp('421 4.7.0 too many', 'ECONNECTION', 'CONN'))).toMatchObject({ code: 421 });
    });

    it('without a responseCode is read from the text', () => {
        expect(readReply(OPEN, failure('550-5.7.1 no\n550 never'))).toMatchObject({ code: 550, stage: 'end-of-data' });
    });

    it('by not being there has no code', () => {
        const err = failure('connect ECONNREFUSED', { code: 'ECONNECTION', response: 'Network error: connect ECONNREFUSED', category: 'network', temporary: true, netConnected: false });
        expect(readReply(undefined, err)).toEqual({ code: 0, text: 'Network error: connect ECONNREFUSED', stage: 'none', unconnected: true });
    });

    it('by DNS, or in the middle of a session, is no failed connection', () => {
        const dns = failure('querymx ESERVFAIL', { response: 'DNS Error: ...', category: 'dns', netConnected: false });
        expect(readReply(undefined, dns)).not.toHaveProperty('unconnected');
        expect(readReply(OPEN, failure('read ECONNRESET', { category: 'network', netConnected: true }))).not.toHaveProperty('unconnected');
    });

    it("to an earlier delivery, from ZoneMTA's cache, is marked: nothing was tried", () => {
        const cached = failure('connect ECONNREFUSED', { response: 'Network error: connect ECONNREFUSED', category: 'network', temporary: true });
        expect(readReply(undefined, cached)).toMatchObject({ code: 0, replayed: true });
        expect(readReply(false, cached)).toMatchObject({ code: 0, replayed: true });
    });
});

describe('the course of a refused delivery', () => {
    const state: DeliveryState = { ...freshState('default'), reroutes: 1 };

    function taken(course: Partial<Course>, fields: Record<string, unknown> = {}) {
        const subject = delivery(fields);
        const err = smtp('554 blocked', 'EENVELOPE', 'RCPT TO');
        setCourse(subject, err, { state, ...course });
        return { subject, err };
    }

    it("is ZoneMTA's: only the state is kept", () => {
        const { subject, err } = taken({});
        expect(subject.updates).toEqual({ smartRelay: state });
        expect(subject).not.toHaveProperty('deferTimes');
        expect(err).not.toHaveProperty('action');
        expect(err.category).toBeUndefined();
    });

    it('rerouted comes back at its time and does not use up the schedule', () => {
        const { subject, err } = taken({ delay: 1000, countChange: -1 }, { _deferred: { count: 3 } });
        expect(err).toMatchObject({ action: 'defer', category: 'policy' });
        // lib/sender.js reads the entry at the count, and rejects when there is none
        expect(subject['deferTimes']).toEqual([1000, 1000, 1000, 1000]);
        expect(subject.updates).toEqual({ smartRelay: state, assigned: 'no', $inc: { '_deferred.count': 0 } });
    });

    it('deferred takes one step of the schedule', () => {
        const { subject, err } = taken({ delay: 300_000 });
        expect(err).toMatchObject({ action: 'defer' });
        expect(subject['deferTimes']).toEqual([300_000]);
        expect(subject.updates).toEqual({ smartRelay: state, assigned: 'no' });
    });

    it('handed over changes its zone and starts the schedule anew', () => {
        const { subject } = taken({ delay: 0, zone: 'relay', countChange: -1 - 5 }, { _deferred: { count: 5 } });
        expect(subject.updates).toEqual({ smartRelay: state, assigned: 'no', sendingZone: 'relay', $inc: { '_deferred.count': -5 } });
        expect(subject['deferTimes']).toHaveLength(6);
    });

    it('waiting for its turn is stored with it, and forgotten with the next attempt', () => {
        const turn = { at: 1_764_019_200_000, address: '192.0.2.7' };
        const { subject, err } = taken({ delay: 7000, countChange: -1, turn });
        expect(err).toMatchObject({ action: 'defer', category: 'policy' });
        expect(subject['deferTimes']).toEqual([7000]);
        expect(subject.updates).toEqual({ smartRelay: state, smartRelayTurn: turn, assigned: 'no', $inc: { '_deferred.count': 0 } });
        const stored = { ...subject.updates };
        expect(turnOf(delivery(stored))).toEqual(turn);
        const attempted = taken({}, stored).subject;
        expect(turnOf(delivery({ ...attempted.updates }))).toBeUndefined();
    });

    it.each([undefined, null, 0, 'now', {}, { at: 5 }, { at: '5', address: '' }, { at: -1, address: '' }])('has no turn in %j', stored => {
        expect(turnOf(delivery({ smartRelayTurn: stored }))).toBeUndefined();
    });

    it("ended is ZoneMTA's reject, even for a temporary reply", () => {
        const { err } = taken({ bounce: true });
        expect(err).toMatchObject({ action: 'reject', temporary: false, category: 'policy' });
    });

    it('leaves in place what another plugin stores with a deferral', () => {
        expect(taken({ delay: 5 }, { updates: { theirs: 1 } }).subject.updates).toMatchObject({ theirs: 1, smartRelay: state });
    });

    it('can be read back from the queue document', () => {
        const { subject } = taken({ delay: 0, zone: 'relay' });
        const stored = delivery({ ...subject.updates });
        expect(stateOf(stored)).toEqual(state);
        expect(isRelayed({ smartRelay: { ...state, phase: 'relay' } })).toBe(true);
        expect(isRelayed({})).toBe(false);
        expect(deferredCount(delivery({ _deferred: { count: 7 } }))).toBe(7);
    });
});
