/** From where a delivery goes: looked up and drawn before ZoneMTA connects. */
import type { SenderConnection, SenderDelivery } from '@zone-eu/types';
import { scopesOf } from '../health/suspension';
import { choose, chooseOther, type Choice, type Health } from '../pool/choose';
import type { PoolAddress } from '../pool/pool';
import { ConnectFailure } from '../zonemta/app';
import { knowConnection, setRoute, stateOf, zoneOf } from '../zonemta/delivery';
import { portOf, zoneConfig } from '../zonemta/host';
import type { Services } from './services';

type HealthyChoice = Choice & { health: Health };

/**
 * Draws the address of this attempt, unless the zone takes no part.
 *
 * @throws ConnectFailure when all addresses are suspended at the provider and this delivery may not try: ZoneMTA then asks what
 * is to become of it as after a failed attempt (lib/sender.js), and handleRefusal knows from the flight
 */
export async function routeDelivery(services: Services, delivery: SenderDelivery): Promise<void> {
    const { settings, host, now, random } = services;
    const zone = zoneOf(delivery);
    if (!settings.shared.zones.includes(zone) || !settings.randomIp) {
        return;
    }
    const state = stateOf(delivery);
    const found = await services.destinations.lookup(delivery.domain ?? '');
    const destination = zoneConfig(host, zone)?.ignoreIPv6 ? { ...found, reachable: { ipv4: true, ipv6: false } } : found;
    const { provider } = destination;
    const choice: HealthyChoice = {
        pool: services.pool(zone),
        reachable: destination.reachable,
        share: settings.randomIp.families[provider] ?? settings.randomIp.families.default,
        tried: state.attempts.flatMap(({ address }) => (address === '' || address === state.pin?.address ? [] : [address])),
        pin: state.pin,
        health: services.health.view(provider),
        random
    };
    const { drawn: first, mayGo } = settings.shared.shadow ? { drawn: choose(choice), mayGo: true } : await admit(services, provider, choice);
    const flight = { startedAt: now(), destination, address: first?.address ?? '' };
    services.flights.set(delivery, flight);
    if (first && !mayGo) {
        const held = services.health.find(provider, scopesOf(first)).at(-1);
        services.flights.set(delivery, { ...flight, address: '', ...(held ? { held } : {}) });
        throw new ConnectFailure(new Error(`all addresses of ours are suspended at ${provider}`));
    }
    if (settings.reputation && state.attempts.length === 0 && !settings.shared.shadow) {
        await services.budget.countFirst(provider);
    }
    if (!first) {
        services.log.warn('POOL_EMPTY', { zone, provider }, zone);
    }
    if (!first || settings.shared.shadow) {
        return;
    }
    setRoute(delivery, {
        first: named(first, delivery),
        other: namedOrNone(chooseOther(choice, first), delivery),
        hosts: destination.hosts,
        mx: state.pin?.mx,
        port: portOf(host, zone)
    });
}

/**
 * Draws, and asks for what the drawn address needs: a half-open one is used as its one probe, a suspended one by a greylisted
 * delivery that keeps it, and by one delivery an interval where there is no other.
 */
async function admit({ health }: Services, provider: string, choice: HealthyChoice): Promise<{ drawn: PoolAddress | undefined; mayGo: boolean }> {
    const drawn = choose(choice);
    const standing = drawn && choice.health.standing(drawn);
    if (!drawn || isKept(choice, drawn) || standing === 'open') {
        return { drawn, mayGo: true };
    }
    if (standing === 'probe') {
        if (await health.claimProbe(provider, scopesOf(drawn))) {
            return { drawn, mayGo: true };
        }
        // somebody else probes it
        const isOpen = (entry: PoolAddress) => (choice.health.standing(entry) === 'open' ? 'open' : 'shut');
        const other = choose({ ...choice, health: { ...choice.health, standing: isOpen } }) ?? drawn;
        return { drawn: other, mayGo: isOpen(other) === 'open' || (await health.takeTurn(provider)) };
    }
    return { drawn, mayGo: await health.takeTurn(provider) };
}

function isKept({ pin, health }: HealthyChoice, drawn: PoolAddress): boolean {
    return pin?.address === drawn.address && !health.isBlamed(drawn);
}

/** Notes which connection the attempt really has; ZoneMTA may reuse one, or have fallen back to the other family. */
export function knowRoute({ settings, host }: Services, delivery: SenderDelivery, connection: SenderConnection): void {
    const zone = zoneOf(delivery);
    if (settings.shared.zones.includes(zone) && !settings.shared.shadow) {
        knowConnection(delivery, connection, portOf(host, zone));
    }
}

/** An address without a name of its own keeps the EHLO name that ZoneMTA found for its zone. */
function named(entry: PoolAddress, delivery: SenderDelivery): { address: string; name: string; family: PoolAddress['family'] } {
    const given = (entry.family === 'ipv6' ? delivery.zoneAddressIPv6 : delivery.zoneAddressIPv4) ?? delivery.zoneAddress;
    const fallback = typeof given === 'object' ? (given.name ?? '') : '';
    return { address: entry.address, name: entry.name || fallback, family: entry.family };
}

function namedOrNone(entry: PoolAddress | undefined, delivery: SenderDelivery) {
    return entry && named(entry, delivery);
}
