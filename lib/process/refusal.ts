/** What follows from a refused attempt: classified, decided by the policy, written down, and told to ZoneMTA. */
import { isIPv6 } from 'node:net';
import type { SenderConnection, SenderDelivery, SenderDeliveryError } from '@zone-eu/types';
import { oneLine, withAttempt } from '../delivery/state';
import { MAX_RESPONSE, SUSPENDED_RULE, type Attempt, type Classification, type DeliveryState, type Stage } from '../delivery/types';
import { scopesOf, type Place, type Suspension } from '../health/suspension';
import { blamedBy, decide, type Blamed, type Decision, type Held, type Situation, type Verdict } from '../policy/decide';
import { whatIsLeft } from '../pool/choose';
import { indexOf } from '../pool/draw';
import { placeOf } from '../pool/pool';
import { relaysFor } from '../relay/eligible';
import type { PluginApp } from '../zonemta/app';
import { deferredCount, forgetFailure, nameOf, plainAddress, readReply, setCourse, sourceOf, stateOf, wakeZone, zoneOf, type Course } from '../zonemta/delivery';
import { messageFacts } from '../zonemta/message';
import { globalListNamed } from './evidence';
import type { LogCode } from './log';
import type { Flight, Services } from './services';

type Connection = SenderConnection | false | undefined;

/** A refused attempt, before anything follows from it. */
export interface Refused {
    /** State before this attempt. */
    before: DeliveryState;
    attempt: Attempt;
    reply: Classification;
    stage: Stage;
    /** It did not connect, and others of ours do. */
    othersReach: boolean;
}

/**
 * Decides about a refused delivery of a pool or relay zone. Deliveries of other zones are ZoneMTA's, and so are errors
 * that it replays without an attempt, but for the relay's: there the clock of `maxAge` runs all the same.
 */
export async function handleRefusal(services: Services, app: PluginApp, delivery: SenderDelivery, connection: Connection, err: SenderDeliveryError): Promise<void> {
    const flight = services.flights.get(delivery);
    const reply = flight && readReply(connection, err);
    if (!flight || !reply || flight.turn || !services.settings.reputation) {
        return;
    }
    const before = stateOf(delivery);
    if (reply.replayed && before.phase === 'pool' && !flight.held) {
        return;
    }
    const classified = flight.held ? classOfHeld(flight.held) : services.classify(reply, flight.destination.provider);
    const described = describe(services, flight, viaOf(delivery, connection, flight), classified, reply.code, reply.text);
    const attempt: Attempt = reply.replayed ? { ...described, address: '', family: '' } : described;
    const othersReach = reply.unconnected === true && before.phase === 'pool' && failedAlone(services, attempt);
    const refused: Refused = { before, attempt, reply: classified, stage: reply.stage, othersReach };
    if (before.phase === 'pool' && !flight.held) {
        await suspend(services, delivery, refused);
    }
    const decision = await judge(services, delivery, flight, refused);
    const state = withAttempt(decision.state, attempt);
    await record(services, delivery, refused, decision.verdict);
    if (services.settings.shared.shadow) {
        return;
    }
    setCourse(delivery, err, courseOf(decision.verdict, state, deferredCount(delivery)));
    if (decision.verdict.action === 'reroute' || decision.verdict.action === 'relay') {
        if (reply.unconnected) {
            forgetFailure(app, delivery);
        }
        wakeZone(app, decision.verdict.action === 'relay' ? decision.verdict.zone : zoneOf(delivery), decision.verdict.delay);
    }
}

/** Notes an accepted delivery in history and log. ZoneMTA has released it by now, so a kill in between loses the note, never the mail. */
export async function handleDelivered(services: Services, delivery: SenderDelivery, response: string): Promise<void> {
    const flight = services.flights.get(delivery);
    if (!flight) {
        return;
    }
    const state = stateOf(delivery);
    const accepted: Classification = { class: 'other', ipRelated: false, scope: 'none', rule: 'accepted', hints: {} };
    const source = delivery.status?.ip ?? flight.address;
    const attempt = describe(services, flight, { ...viaOf(delivery, undefined, flight), address: source }, accepted, 250, response);
    await clear(services, flight, state, placeIn(services, delivery, source));
    services.log.event('DELIVERED', { ...facts(delivery, attempt), attempts: state.attempts.length + 1 });
    await services.history.write({ ...keys(delivery), event: { kind: 'delivered', attempt, zone: zoneOf(delivery), phase: state.phase } });
}

/** Suspends what the reply blames, for all processes. Awaited, so that the decision knows what is left. */
export async function suspend(services: Services, delivery: SenderDelivery, { attempt, reply, othersReach }: Refused): Promise<void> {
    const { settings, health, log, now } = services;
    const blamed = blamedBy(reply, othersReach);
    const place = placeIn(services, delivery, attempt.address);
    if (!blamed || !place || settings.shared.shadow) {
        return;
    }
    // several addresses that cannot connect are no sign against their range: that is what the evidence is for
    const scopes = blamed.class === 'network' ? [place.address] : scopesOf(place);
    const { provider, code, response } = attempt;
    const retryAfter = (reply.hints.retryAfter ?? 0) * 1000;
    const doubtful = blamed.class === 'ip-ptr' && !(await confirmsPtr(services, place.address, provider, response));
    const changes = await health.strike(nameOf(delivery), {
        provider,
        class: blamed.class,
        code,
        note: response,
        scopes,
        base: baseOf(blamed.scope, scopes),
        message: delivery.id,
        retryAfter,
        ...(doubtful ? { coolDownOf: 'ip-rate' as const } : {})
    });
    for (const { scope, suspension } of changes) {
        log.event('SUSPENDED', { provider, scope, class: blamed.class, seconds: Math.round(((suspension?.until ?? 0) - now()) / 1000), strikes: suspension?.strikes, response });
    }
    const share = blamed.class === 'ip-rate' ? await services.pace.lower(provider) : undefined;
    if (share !== undefined) {
        log.event('PACE_LOWERED', { provider, share: share.toFixed(2), response });
    }
    if (changes.some(({ scope }) => scope === 'provider')) {
        log.warn('PROVIDER_REFUSES', { provider, response }, provider);
    }
    const list = blamed.class === 'ip-reputation' ? globalListNamed(reply.hints.list, settings.reputation?.globalLists ?? []) : undefined;
    if (list !== undefined) {
        const zone = zoneOf(delivery);
        // the verdict does not wait for it
        void services.evidence.confirmListing({ zone, pool: services.pool(zone), address: place.address, list });
    }
}

/** Where our own look-up finds nothing wrong the other side has had trouble, and that is soon over. */
async function confirmsPtr({ evidence, log }: Services, address: string, provider: string, response: string): Promise<boolean> {
    const isWrong = await evidence.lacksPtr(address);
    if (isWrong) {
        log.warn('PTR_WRONG', { address, provider, response }, address);
    }
    return isWrong;
}

/** Notes that this address could not connect. Do others? */
export function failedAlone({ reachability, now }: Services, { provider, address }: Attempt): boolean {
    reachability.failed(provider, address, now());
    return reachability.othersReach(provider, address, now());
}

/** An accepted delivery shows that its address is welcome again. */
async function clear({ settings, health, log }: Services, flight: Flight, state: DeliveryState, place: Place | undefined): Promise<void> {
    if (!place || state.phase !== 'pool' || settings.shared.shadow) {
        return;
    }
    const { provider } = flight.destination;
    for (const { scope } of await health.succeed({ provider, scopes: scopesOf(place), startedAt: flight.startedAt })) {
        log.event('RESUMED', { provider, scope, reason: 'accepted' });
    }
}

/** Where an address belongs: the pool knows its own. */
function placeIn(services: Services, delivery: SenderDelivery, address: string): Place | undefined {
    return indexOf(services.pool(zoneOf(delivery))).byAddress.get(address) ?? placeOf(address, services.settings.shared);
}

function baseOf(blamed: Blamed, scopes: readonly string[]): number {
    return { address: 0, subnet: 1, family: scopes.length - 2, provider: scopes.length - 1 }[blamed];
}

/** A delivery that was not let out has the class of what holds it. */
function classOfHeld(held: Suspension): Classification {
    return { class: held.class === 'operator' || held.class === 'check' ? 'ip-reputation' : held.class, ipRelated: true, scope: 'none', rule: SUSPENDED_RULE, hints: {} };
}

function heldBy({ class: reason, scope, code }: Suspension): Held {
    const forNow = scope === 'provider' && code > 0 && code < 500;
    return reason === 'ip-rate' || reason === 'network' || forNow ? 'temporary' : 'final';
}

function situationOf(services: Services, delivery: SenderDelivery, flight: Flight, { before: state, attempt, reply, stage, othersReach }: Refused): Situation {
    const { settings, switches } = services;
    const { provider, reachable } = flight.destination;
    const zone = zoneOf(delivery);
    const envelope = { from: delivery.from ?? '', recipient: delivery.recipient ?? '' };
    const choice = {
        pool: services.pool(zone),
        reachable,
        tried: [...state.attempts.map(earlier => earlier.address), attempt.address],
        health: services.health.view(provider)
    };
    return {
        state,
        attempt,
        reply,
        stage,
        settings: {
            attempts: settings.reputation?.attempts ?? 0,
            delays: settings.reputation?.delays ?? [],
            relayAfter: settings.relay?.relayAfter ?? {},
            maxAge: settings.relay?.maxAge ?? 0
        },
        othersReach,
        left: flight.held ? 'suspended' : whatIsLeft(choice),
        held: flight.held && heldBy(flight.held),
        brake: switches.isOn('reroute', provider) ? 'free' : 'off',
        relays: settings.relay ? relaysFor(settings.relay, envelope) : [],
        relayOff: !switches.isOn('relay', provider),
        zone,
        schedule: services.schedule,
        deferred: deferredCount(delivery),
        now: services.now(),
        random: services.random
    };
}

/** Asks the policy. A reroute is paid for from the budget; when that is spent, the policy is asked again without it. */
export async function judge(services: Services, delivery: SenderDelivery, flight: Flight, refused: Refused): Promise<Decision> {
    const situation = situationOf(services, delivery, flight, refused);
    const decision = decide(situation);
    if (decision.verdict.action !== 'reroute') {
        return decision;
    }
    const { provider } = situation.attempt;
    const { sender } = messageFacts(delivery);
    if (services.settings.shared.shadow) {
        return decision;
    }
    const taken = await services.budget.take(provider, sender);
    if (taken === 'taken') {
        return decision;
    }
    services.log.warn('BUDGET_SPENT', { of: taken, provider, sender }, taken === 'sender' ? sender : provider);
    return decide({ ...situation, brake: 'spent' });
}

function courseOf(verdict: Verdict, state: DeliveryState, deferred: number): Course {
    switch (verdict.action) {
        case 'core':
            return { state };
        case 'reroute':
            return { state, delay: verdict.delay, countChange: -1 };
        case 'defer':
            return { state, delay: verdict.delay };
        case 'relay':
            return { state, delay: verdict.delay, zone: verdict.zone, countChange: verdict.fresh ? -1 - deferred : -1 };
        case 'bounce':
            return { state, bounce: true };
    }
}

/** Notes a refused attempt and its verdict in history and log. */
export async function record(services: Services, delivery: SenderDelivery, { attempt, before, reply }: Refused, verdict: Verdict): Promise<void> {
    const { log, history, settings } = services;
    const code: LogCode = `ATTEMPT_${verdict.action.toUpperCase() as Uppercase<Verdict['action']>}`;
    log.event(code, { ...facts(delivery, attempt), scope: reply.scope, reason: verdict.reason, shadow: settings.shared.shadow ? 'yes' : undefined });
    if (attempt.rule === SUSPENDED_RULE) {
        log.warn('PROVIDER_REFUSES', { provider: attempt.provider, reason: attempt.response }, attempt.provider);
    }
    if (before.phase === 'relay' && verdict.reason === 'our account at the relay') {
        log.warn('RELAY_ACCOUNT', { zone: zoneOf(delivery), response: attempt.response }, zoneOf(delivery));
    }
    const zone = zoneOf(delivery);
    const next = 'delay' in verdict ? { next: services.now() + verdict.delay } : {};
    const unknown = attempt.rule === 'code' && before.phase === 'pool' ? { unknown: true as const } : {};
    await history.write({ ...keys(delivery), ...unknown, event: { kind: 'attempt', attempt, verdict: verdict.action, reason: verdict.reason, zone, phase: before.phase, ...next } });
}

/** The way that an attempt took. */
interface Via {
    address: string;
    mx: string;
}

function viaOf(delivery: SenderDelivery, connection: Connection, flight: Flight): Via {
    return {
        address: sourceOf(connection) || plainAddress(delivery.localAddress) || flight.address,
        mx: (connection && connection.options.servername) || delivery.mxHostname || ''
    };
}

/** The attempt as it stands in state, history and log. */
export function describe(services: Services, flight: Flight, { address, mx }: Via, reply: Classification, code: number, text: string): Attempt {
    const at = services.now();
    return {
        at,
        address,
        family: familyOf(address),
        provider: flight.destination.provider,
        mx,
        class: reply.class,
        rule: reply.rule,
        code,
        response: oneLine(text, MAX_RESPONSE),
        ms: at - flight.startedAt
    };
}

function familyOf(address: string): Attempt['family'] {
    return address === '' ? '' : isIPv6(address) ? 'ipv6' : 'ipv4';
}

function keys(delivery: SenderDelivery) {
    return { id: delivery.id, seq: delivery.seq, recipient: delivery.recipient ?? '', sender: delivery.from ?? '' };
}

function facts(delivery: SenderDelivery, { provider, mx, address, class: replyClass, rule, code, response, ms }: Attempt) {
    return { id: nameOf(delivery), zone: zoneOf(delivery), provider, mx, address, class: replyClass, rule, smtp_code: code, response, ms };
}
