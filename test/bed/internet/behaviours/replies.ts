import type { Visit } from '../ledger';
import type { ReplyMaker } from './behaviour';

/**
 * Makes a reply from the text seen in the wild. Each line starts with its code (`550-` or `550 `), and `{client}`, `{from}`,
 * `{to}`, `{mx}` and `{domain}` stand for what they name.
 */
export function reply(template: string): ReplyMaker {
    const lines = template.split('\n');
    const code = Number(template.slice(0, 3));
    if (!lines.every(line => /^[245]\d\d[ -]/.test(line) && Number(line.slice(0, 3)) === code)) {
        throw new Error(`not an SMTP reply: ${template}`);
    }
    return visit => ({ code, lines: lines.map(line => filled(line.slice(4), visit)) });
}

function filled(text: string, visit: Visit): string {
    return text.replace(/\{(client|from|to|mx|domain)\}/g, (_, key: 'client' | 'from' | 'to' | 'mx' | 'domain') => visit[key]);
}

/** Replies of real servers, by what they mean. */
export const REPLIES = {
    // This address is on a list, or has a bad name.
    spamhaus: reply('554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{client}'),
    barracuda: reply(
        '554 5.7.1 Service unavailable; Client host [{client}] blocked using b.barracudacentral.org; http://www.barracudanetworks.com/reputation/?pr=1&ip={client}'
    ),
    ciscoPoorReputation: reply(
        "554-{mx}\n554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you believe that this failure is in error, please contact the intended recipient via alternate means."
    ),
    microsoftBanned: reply(
        '550 5.7.606 Access denied, banned sending IP [{client}]. To request removal from this list please visit https://sender.office.com/ and follow the directions. For more information please go to http://go.microsoft.com/fwlink/?LinkID=526655 (AS16012609)'
    ),
    yahooListed: reply(
        '553 Mail from {client} not allowed - 5.7.1 [BL23] Connections not accepted from IP addresses on Spamhaus XBL; see http://postmaster.yahoo.com/errors/550-bl23.html [550]'
    ),
    titanInsufficientReputation: reply('421 4.7.0: Sender IP rejected: sending IP has insufficient reputation. Please retry later.'),
    gmailLowReputation: reply(
        '550-5.7.1 [{client}] Our system has detected that this message is\n550-5.7.1 likely suspicious due to the very low reputation of the sending IP\n550-5.7.1 address. To best protect our users from spam, the message has been\n550-5.7.1 blocked. Please visit\n550 5.7.1 https://support.google.com/mail/answer/188131 for more information. - gsmtp'
    ),
    // This address sends too much.
    postfixTooManyConnections: reply('421 4.7.0 {mx} Error: too many connections from {client}'),
    godaddyTooManySessions: reply('421 Connection refused, too many sessions from {client}. Please lower the number of concurrent sessions. IB007'),
    microsoftTooManyConnections: reply('451 4.7.652 The mail server [{client}] has exceeded the maximum number of connections. (S3115)'),
    // Not now, and nobody is to blame.
    postgrey: reply('450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/{domain}.html'),
    systemTrouble: reply('451 4.3.0 Temporary system problem'),
    // No other address would help.
    userUnknown: reply('550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table'),
    contentRejected: reply('554 5.7.1 Message rejected as spam by Content Filtering.'),
    spfFailed: reply(
        '550 5.7.23 <{to}>: Recipient address rejected: Message rejected due to: SPF fail - not authorized. Please see http://www.openspf.net/Why?s=mfrom;id={from};ip={client};r=<{to}>'
    )
} as const satisfies Record<string, ReplyMaker>;
