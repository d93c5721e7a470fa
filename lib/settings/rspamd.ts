import * as v from 'valibot';
import { table, tableOf } from './tables';
import { duration, size } from './units';
import { flag, numberBetween } from './values';

/** What becomes of a message: refused, put off, accepted with a mark, accepted, or accepted into another sending zone. */
export type ScanAction = 'reject' | 'tempfail' | 'tag' | 'accept' | `zone:${string}`;

const A_URL = 'a URL like "http://127.0.0.1:11333", without a path';
const NO_LOGIN = 'a URL without user and password: use the password option';
const SERVERS = 'a list of one or more URLs like "http://127.0.0.1:11333"';
const AN_ACTION = '"reject", "tempfail", "tag", "accept" or "zone:NAME"';
const A_PASSWORD = 'visible ASCII characters, or "" for none';
const AN_ID = 'an id of rspamd\'s settings: letters, digits and any of "._-", or "" for none';
const UNAVAILABLE = '"tempfail" or "accept"';
const OVERSIZE = '"reject", "tempfail" or "accept"';
const FLAGS = 'a list of flags of rspamd\'s protocol like "pass_all" or "groups"';
const INTERFACES = 'a list of names of SMTP interfaces';
const AN_INTERFACE = 'the name of an SMTP interface';
const A_SENDER = 'a sender, or "@example.com" for all of a domain';
const OVERRIDES = 'a list of tables with interface or sender, or both, and actions';

/** Comes out as the URL's origin: without a slash at its end. */
const serverUrl = v.pipe(
    v.string(A_URL),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const url = URL.canParse(dataset.value) ? new URL(dataset.value) : undefined;
        if (!url || !['http:', 'https:'].includes(url.protocol) || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
            addIssue({ message: A_URL });
            return NEVER;
        }
        if (url.username !== '' || url.password !== '') {
            addIssue({ message: NO_LOGIN });
            return NEVER;
        }
        return url.origin;
    })
);

const scanAction = v.custom<ScanAction>(
    value => typeof value === 'string' && /^(?:reject|tempfail|tag|accept|zone:[^\sA-Z]+)$/.test(value),
    AN_ACTION
);

/** Every action that rspamd can answer, with what becomes of the message. */
const actionsTable = table({
    reject: v.optional(scanAction, 'reject'),
    'soft reject': v.optional(scanAction, 'tempfail'),
    greylist: v.optional(scanAction, 'accept'),
    'add header': v.optional(scanAction, 'accept'),
    'rewrite subject': v.optional(scanAction, 'accept'),
    'no action': v.optional(scanAction, 'accept')
});

/** What becomes of the mail of an interface, or a sender, where that differs from all others'. */
const overrideTable = v.pipe(
    table({
        interface: v.exactOptional(v.pipe(v.string(AN_INTERFACE), v.minLength(1, AN_INTERFACE))),
        sender: v.exactOptional(v.pipe(v.string(A_SENDER), v.minLength(2, A_SENDER), v.toLowerCase())),
        actions: table({
            reject: v.exactOptional(scanAction),
            'soft reject': v.exactOptional(scanAction),
            greylist: v.exactOptional(scanAction),
            'add header': v.exactOptional(scanAction),
            'rewrite subject': v.exactOptional(scanAction),
            'no action': v.exactOptional(scanAction)
        })
    }),
    v.check(override => override.interface !== undefined || override.sender !== undefined, 'interface or sender, or both')
);

/** Options of `modules/zonemta-smart-relay/rspamd`. */
export const rspamdSchema = table({
    servers: v.pipe(v.array(serverUrl, SERVERS), v.minLength(1, SERVERS)),
    weights: v.optional(tableOf(serverUrl, numberBetween(0.01, 100)), {}),
    password: v.optional(v.pipe(v.string(A_PASSWORD), v.regex(/^[ -~]*$/, A_PASSWORD)), ''),
    timeout: v.optional(duration('100ms', '5m'), '10s'),
    maxSize: v.optional(size('1KiB', '1GiB'), '50MiB'),
    onOversize: v.optional(v.picklist(['reject', 'tempfail', 'accept'], OVERSIZE), 'reject'),
    onUnavailable: v.optional(v.picklist(['tempfail', 'accept'], UNAVAILABLE), 'tempfail'),
    settingsId: v.optional(v.pipe(v.string(AN_ID), v.regex(/^[\w.-]*$/, AN_ID)), ''),
    flags: v.optional(v.array(v.pipe(v.string(FLAGS), v.regex(/^[a-z_]{1,32}$/, FLAGS)), FLAGS), []),
    skip: v.optional(
        table({
            interfaces: v.optional(v.array(v.string(INTERFACES), INTERFACES), []),
            authenticated: v.optional(flag, false),
            nullSender: v.optional(flag, false)
        }),
        {}
    ),
    actions: v.optional(actionsTable, {}),
    overrides: v.optional(v.array(overrideTable, OVERRIDES), [])
});

/** `timeout` is in milliseconds, `maxSize` in bytes, `servers` and the keys of `weights` are origins; `actions` has every action that rspamd can answer. */
export type RspamdSettings = v.InferOutput<typeof rspamdSchema>;
