import { domainToASCII } from 'node:url';
import * as v from 'valibot';
import { table } from './tables';
import { duration } from './units';
import { flag, zoneName } from './values';

const ZONES = 'a list of one or more names of sending zones, in the order in which they are tried';
const A_DOMAIN = 'a domain like "example.com", or ".example.com" for its sub-domains';
const TLS = '"verify" or "off"';

/** Domain of a recipient or sender. Comes out in lower case and ASCII; sub-domains always with a leading dot. */
const domainPattern = v.pipe(
    v.string(A_DOMAIN),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const [, dot = '', name = ''] = /^(\*?\.)?(.*)$/.exec(dataset.value) ?? [];
        const domain = /[/:?#@\\\s%]/.test(name) ? '' : domainToASCII(name);
        if (!/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(domain)) {
            addIssue({ message: A_DOMAIN });
            return NEVER;
        }
        return dot === '' ? domain : `.${domain}`;
    })
);

// ZoneMTA deletes what is older than queue.maxQueueTime (30 days) without a word to the sender: both times together stay below it.
const untilRelay = duration('0s', '7d');
const atRelay = duration('1m', '14d');

/** Options of `modules/zonemta-smart-relay/relay`. */
export const relaySchema = table({
    zones: v.pipe(v.array(zoneName, ZONES), v.minLength(1, ZONES)),
    maxAge: v.optional(atRelay, '24h'),
    relayAfter: v.optional(
        table({
            'ip-rate': v.optional(untilRelay, '2h'),
            network: v.exactOptional(untilRelay)
        }),
        {}
    ),
    exclude: v.optional(v.array(domainPattern, 'a list of domains'), []),
    nullSender: v.optional(flag, false),
    tls: v.optional(v.picklist(['verify', 'off'], TLS), 'verify')
});

/**
 * `maxAge` and `relayAfter` are in milliseconds; a class without an entry in `relayAfter` is not handed over by its age.
 * `exclude`: lower-case ASCII domains, ".example.com" means its sub-domains only.
 */
export type RelaySettings = v.InferOutput<typeof relaySchema>;
