/** From where a delivery may go now: drawn among what is healthy, and let out by the pace of the provider. */
import type { SenderDelivery } from '@zone-eu/types';
import { scopesOf, type Suspension } from '../health/suspension';
import { choose, type Choice, type Health } from '../pool/choose';
import { offersOf } from '../pool/offers';
import type { PoolAddress } from '../pool/pool';
import { allowanceOf } from '../pool/warm-up';
import { nameOf, turnOf, type Turn } from '../zonemta/delivery';
import type { Services } from './services';

export type HealthyChoice = Choice & { health: Health };

export type Admission =
    /** Without an address: the pool has none for this destination. */
    | { kind: 'go'; address: PoolAddress | undefined }
    /** All addresses are suspended: the widest of the suspensions. */
    | { kind: 'held'; by: Suspension | undefined }
    /** Over the pace. */
    | { kind: 'wait'; turn: Turn };

interface Applicant {
    delivery: SenderDelivery;
    provider: string;
    choice: HealthyChoice;
}

/**
 * Draws, and asks for what the drawn address needs: a half-open one is used as its one probe, a suspended one by a greylisted
 * delivery that keeps it, and by one delivery an interval where there is no other. The pace is not asked for a delivery that
 * health holds back, and a probe is claimed only where there is a slot for it.
 */
export async function admit(services: Services, applicant: Applicant): Promise<Admission> {
    const { health, pace, bursts } = services;
    const { delivery, provider, choice } = applicant;
    const turn = turnOf(delivery);
    const drawn = choose(choice);
    if (!drawn) {
        return { kind: 'go', address: undefined };
    }
    const only = [{ addresses: [drawn], more: false }];
    if (choice.pin?.address === drawn.address && !choice.health.isBlamed(drawn)) {
        return letOut(services, applicant, only);
    }
    if (choice.health.standing(drawn) === 'shut') {
        return (await health.takeTurn(provider)) ? letOut(services, applicant, only) : { kind: 'held', by: health.find(provider, scopesOf(drawn)).at(-1) };
    }
    const burst = choice.tried.length === 0 && !choice.pin && !turn ? bursts.next(provider, drawn.address) : undefined;
    const admission = await letOut(
        services,
        applicant,
        offersOf(choice, drawn, {
            kept: turn?.address ?? burst,
            // where it stands in line is full for others
            isFull: entry => entry.address !== turn?.address && pace.isFull(provider, entry.address),
            isNew: entry => isWarmingUp(services, entry)
        })
    );
    if (admission.kind !== 'go' || !admission.address) {
        return admission;
    }
    if (choice.health.standing(admission.address) === 'open') {
        if (burst !== undefined && burst !== admission.address.address) {
            bursts.begin(provider, admission.address.address);
        }
        return admission;
    }
    if (await health.claimProbe(provider, scopesOf(admission.address))) {
        return admission;
    }
    // somebody else probes it; its slot is lost
    const standing = (entry: PoolAddress) => (choice.health.standing(entry) === 'open' ? 'open' : 'shut');
    return admit(services, { ...applicant, choice: { ...choice, health: { ...choice.health, standing } } });
}

/** Has this address an allowance that still grows? */
export function isWarmingUp({ settings, now }: Pick<Services, 'settings' | 'now'>, entry: PoolAddress): boolean {
    return settings.randomIp !== undefined && allowanceOf(entry, now(), settings.randomIp.warmUp) !== undefined;
}

/** Asks the pace for a slot from one of the offered addresses. */
async function letOut({ pace, paceOf, settings, now }: Services, { delivery, provider, choice }: Applicant, offers: Iterable<{ addresses: readonly PoolAddress[]; more: boolean }>): Promise<Admission> {
    const turn = turnOf(delivery);
    const allowance = (entry: PoolAddress) => (settings.randomIp && entry.address !== choice.pin?.address ? allowanceOf(entry, now(), settings.randomIp.warmUp) : undefined);
    for (const { addresses, more } of offers) {
        const slot = await pace.ask({
            provider,
            pace: paceOf(provider),
            delivery: nameOf(delivery),
            // a greylisted delivery was counted with its first try
            candidates: addresses.map(entry => ({ address: entry.address, perDay: allowance(entry) })),
            more,
            waited: turn !== undefined && now() >= turn.at
        });
        switch (slot.kind) {
            case 'go':
                return { kind: 'go', address: addresses.find(({ address }) => address === slot.address) };
            case 'wait':
                return { kind: 'wait', turn: { at: slot.at, address: slot.address } };
            case 'more':
        }
    }
    return { kind: 'wait', turn: { at: now(), address: '' } };
}
