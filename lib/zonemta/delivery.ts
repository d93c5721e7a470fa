/** Reading and writing a delivery, as lib/sender.js of ZoneMTA hands it to the sender's hooks. */
import type { SenderConnection, SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import { readState } from '../delivery/state';
import type { DeliveryState, Family, Reply, Stage } from '../delivery/types';
import type { PluginApp } from './app';

/** Key of our state in the queue document. */
const STATE = 'smartRelay';
/** Key of the turn of a delivery that waits for the pace of its provider. */
const TURN = 'smartRelayTurn';

/** A clean-up of the "this zone is empty" note comes this long after a delivery is due again, ms. */
const WAKE_AFTER = [30, 400];
/** Deliveries that are due within so many ms are woken together: thousands may wait for the pace of one provider. */
const WAKE_STEP = 50;
const waking = new Set<string>();

/** Was this delivery handed over to the relay? Reads a delivery, or the queue document that ZoneMTA hands to queue:delayed. */
export function isRelayed(delivery: Record<string, unknown>): boolean {
    return readState(delivery[STATE], '').phase === 'relay';
}

/** An address of ours, and the name that it greets with. */
export interface Source {
    address: string;
    name: string;
    family: Family;
}

/** What a delivery is sent from and to: `first` is tried before `other`. */
export interface Route {
    first: Source;
    other?: Source | undefined;
    hosts: readonly { exchange: string; priority: number; A: readonly string[]; AAAA: readonly string[] }[];
    /** Keeps to one MX (greylisting). */
    mx?: string | undefined;
    port: number;
}

/** Zone of this sender process: its command line has it, a delivery too. */
export function zoneOf(delivery: SenderDelivery): string {
    return delivery.sendingZone ?? '';
}

/** A delivery in stores and logs: message and number of the recipient. */
export function nameOf({ id, seq }: Pick<SenderDelivery, 'id' | 'seq'>): string {
    return `${id}.${seq}`;
}

/** The state of a delivery; a delivery that never had one starts afresh at `home`. */
export function stateOf(delivery: SenderDelivery): DeliveryState {
    return readState(delivery[STATE], zoneOf(delivery));
}

/** When the turn of a waiting delivery comes, Unix ms, and at which address; empty: at the pool. */
export interface Turn {
    at: number;
    address: string;
}

/** The turn of a delivery that has waited for the pace; undefined: it has not. */
export function turnOf(delivery: SenderDelivery): Turn | undefined {
    const { at, address } = (delivery[TURN] ?? {}) as { at?: unknown; address?: unknown };
    return typeof at === 'number' && at > 0 && typeof address === 'string' ? { at, address } : undefined;
}

/** Lets this attempt leave from the chosen address. */
export function setRoute(delivery: SenderDelivery, route: Route): void {
    const { first, other } = route;
    const own = (family: Family) => [first, other].find(entry => entry?.family === family);
    const address4 = own('ipv4');
    const address6 = own('ipv6');
    if ('zoneAddress' in delivery) {
        // a zone with ignoreIPv6 has this key only
        delivery.zoneAddress = { ...first };
    } else {
        delivery.zoneAddressIPv4 = { ...(address4 ?? first) };
        delivery.zoneAddressIPv6 = { ...(address6 ?? first) };
    }
    // ZoneMTA's own key names the IPv4 address even for an IPv6 socket
    delivery.connectionKey = connectionKey(first.address, delivery.domain ?? '', route.port);
    const mx = mxRecords(route);
    if (mx.length > 0) {
        delivery.mx = mx;
    }
}

/** The attempt goes on from another address of the same family: when ZoneMTA connects again, without TLS perhaps, it is from there. */
export function setSource(delivery: SenderDelivery, source: Source, port: number): void {
    if ('zoneAddress' in delivery) {
        delivery.zoneAddress = { ...source };
    } else {
        delivery[source.family === 'ipv6' ? 'zoneAddressIPv6' : 'zoneAddressIPv4'] = { ...source };
    }
    delivery.connectionKey = connectionKey(source.address, delivery.domain ?? '', port);
}

/** Keeps a state for the rest of this attempt, and with the delivery if ZoneMTA defers it. */
export function keepState(delivery: SenderDelivery, state: DeliveryState): void {
    delivery[STATE] = state;
    delivery.updates = { ...delivery.updates, [STATE]: state };
}

/** Key of a kept connection: another address is another connection. */
function connectionKey(address: string, host: string, port: number): string {
    return [address, host, port].join(':');
}

/**
 * Makes the delivery know its connection: ZoneMTA names neither address nor MX for a reused one, and files it under
 * the address that was meant, not the one that it has after a fall-back to the other family.
 */
export function knowConnection(delivery: SenderDelivery, connection: SenderConnection, port: number): void {
    const { servername, host } = connection.options;
    const mx = servername ?? host;
    if (mx !== undefined) {
        delivery.mxHostname = mx;
    }
    const source = sourceOf(connection);
    if (source) {
        delivery.connectionKey = connectionKey(source, delivery.domain ?? '', port);
    }
}

/**
 * Lets the connection end with this message when it is the last of so many: ZoneMTA counts what a connection has sent, and keeps
 * none that has no key (lib/sender.js).
 */
export function endAfter(delivery: SenderDelivery, connection: SenderConnection, messages: number): void {
    if ((connection.usageCount ?? 0) + 1 >= messages) {
        delivery.connectionKey = '';
    }
}

/** Source address of a connection, also of a reused one (there `delivery.localAddress` is not set). */
export function sourceOf(connection: SenderConnection | false | undefined): string {
    return connection ? plainAddress(connection.options.localAddress) : '';
}

/** The address of a socket as it stands in the pool: an IPv4 one without the prefix that IPv6 sockets give it. */
export function plainAddress(address: string | undefined): string {
    return (address ?? '').replace(/^::ffff:/, '');
}

/**
 * MX records for mx-connect in the order of the drawn family. It tries A before AAAA of one host whatever it is told
 * (3.10.3), so each host stands here twice: with the addresses of the drawn family, then with the others.
 */
function mxRecords({ first, hosts, mx }: Route): NonNullable<SenderDelivery['mx']> {
    const rank = (exchange: string) => (mx && exchange === mx ? -1 : 0);
    return [...hosts]
        .sort((a, b) => rank(a.exchange) - rank(b.exchange))
        .flatMap((host, index) => {
            const priority = 2 * (mx ? index : host.priority);
            const isFar = (family: Family) => Number(first.family !== family);
            const v4 = { exchange: host.exchange, mx: true, A: [...host.A], AAAA: [], priority: priority + isFar('ipv4') };
            const v6 = { exchange: host.exchange, mx: true, A: [], AAAA: [...host.AAAA], priority: priority + isFar('ipv6') };
            return (isFar('ipv4') ? [v6, v4] : [v4, v6]).filter(({ A, AAAA }) => A.length + AAAA.length > 0);
        });
}

/**
 * What the other side said. ZoneMTA repeats a connection error of the zone and domain from its cache for two minutes;
 * such an error has no `netConnected`.
 */
export function readReply(connection: SenderConnection | false | undefined, err: SenderDeliveryError): Reply {
    const text = (err.response || err.message || '').toString();
    const code = Number(err.responseCode) || Number(/^\s*(\d{3})[\s-]/.exec(text)?.[1]) || 0;
    if (code === 0 && !connection && err.netConnected === undefined) {
        return { code, text, stage: 'none', replayed: true };
    }
    // what failed in DNS, or by the recipient's MTA-STS policy, has another category
    const unconnected = code === 0 && !connection && err.category === 'network';
    return { code, text, stage: stageOf(err, code, connection), ...(unconnected ? { unconnected } : {}) };
}

function stageOf(err: SenderDeliveryError, code: number, connection: SenderConnection | false | undefined): Stage {
    if (code === 0) {
        return 'none';
    }
    if (err.code === 'EAUTH' || [530, 534, 535, 538].includes(code)) {
        return 'auth';
    }
    if (err.code === 'EMESSAGE') {
        // nodemailer names the command DATA for the final dot as well
        return 'end-of-data';
    }
    const command = typeof err['command'] === 'string' ? err['command'].toUpperCase() : '';
    const known: Record<string, Stage> = { CONN: 'greeting', EHLO: 'ehlo', HELO: 'ehlo', STARTTLS: 'tls', 'MAIL FROM': 'mail', 'RCPT TO': 'rcpt', DATA: 'data' };
    return known[command] ?? (connection ? 'end-of-data' : 'greeting');
}

/** How a delivery goes on, in ZoneMTA's terms. `undefined` changes nothing but the state. */
export interface Course {
    state: DeliveryState;
    /** Wait before the next attempt, ms. Undefined: ZoneMTA's verdict stands. */
    delay?: number;
    /** Change of ZoneMTA's count of deferrals besides its own + 1 (-1: this attempt does not count). */
    countChange?: number;
    zone?: string;
    bounce?: boolean;
    /** There was no attempt: the delivery waits for its turn. */
    turn?: Turn;
}

/**
 * Writes the course of a refused delivery: `err` tells lib/sender.js to defer or to reject, `delivery.updates` what to store
 * with a deferral. The category "policy" keeps ZoneMTA's own in-memory blacklist out of the way: it would disable the
 * address for the domain, and reject outright once all are disabled or the sender is empty.
 */
export function setCourse(delivery: SenderDelivery, err: SenderDeliveryError, course: Course): void {
    const others = delivery.updates ?? {};
    delivery.updates = { ...others, [STATE]: course.state };
    if (course.turn || turnOf(delivery)) {
        delivery.updates[TURN] = course.turn ?? null;
    }
    if (course.bounce) {
        err.category = 'policy';
        err['action'] = 'reject';
        err.temporary = false;
        return;
    }
    if (course.delay === undefined) {
        return;
    }
    const count = delivery._deferred?.count ?? 0;
    err.category = 'policy';
    err['action'] = 'defer';
    delivery['deferTimes'] = new Array<number>(count + 1).fill(course.delay);
    // any instance of this queue may take it next
    const updates: Record<string, unknown> = { ...delivery.updates, assigned: 'no' };
    if (course.zone !== undefined) {
        updates['sendingZone'] = course.zone;
    }
    if (course.countChange !== undefined) {
        updates['$inc'] = { ...(others as { $inc?: object }).$inc, '_deferred.count': 1 + course.countChange };
    }
    delivery.updates = updates;
}

/** How often ZoneMTA has deferred this delivery. */
export function deferredCount(delivery: SenderDelivery): number {
    return delivery._deferred?.count ?? 0;
}

/**
 * Has ZoneMTA look for a delivery when it is due, in ms from now: it notes that a zone is empty for 5 s (lib/mail-queue.js).
 * The note is cleared twice, since the deferral may still be on its way to the database; once for all that are due together.
 */
export function wakeZone(app: PluginApp, zone: string, delay: number): void {
    if (!app.getQueue()) {
        return;
    }
    const now = Date.now();
    for (const after of WAKE_AFTER) {
        const at = Math.ceil((now + delay + after) / WAKE_STEP) * WAKE_STEP;
        const wake = `${zone} ${at}`;
        if (!waking.has(wake)) {
            waking.add(wake);
            setTimeout(() => {
                waking.delete(wake);
                clearNote(app, `empty:${zone}`);
            }, at - now).unref();
        }
    }
}

/**
 * Has ZoneMTA forget that it could not connect for this delivery. It would fail all deliveries of the zone to the same MX host for two
 * minutes, from whatever address they go out (lib/sender.js, getConnectionWithCache).
 */
export function forgetFailure(app: PluginApp, delivery: SenderDelivery): void {
    const { mx, domain, mxAuth, mxPort } = delivery;
    const named = [zoneOf(delivery), 'domain', mx?.[0]?.exchange || domain, mxAuth && mxAuth.user].filter(Boolean).join(':');
    // the port is in the key only when it stood on the delivery before ZoneMTA put it there
    clearNote(app, named);
    clearNote(app, `${named}:${mxPort}`);
}

function clearNote(app: PluginApp, key: string): void {
    const queue = app.getQueue() as false | { sendCommand?(command: object, done: () => void): void };
    if (queue && queue.sendCommand) {
        queue.sendCommand({ cmd: 'CLEARCACHE', key }, () => undefined);
    }
}
