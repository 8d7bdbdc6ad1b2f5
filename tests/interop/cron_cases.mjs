/*
 * cron_cases.mjs - patterns, starts and time zones that chance would hardly come upon, for
 * cron_parity.test.mjs.
 */
import { existsSync } from 'node:fs';

// Corners of the syntax, five fields unless they say more; the sides have to agree.
export const corners = [
    '* * * * *', '* * * * * *', '5', '* 5', '0 12 *', '0 12 1 *', '1 2 3 4 5 6 7',
    ' * * * * * ', '*  *\u00a0*\u2003* *\ufeff', '@daily', '@DAILY', ' @daily', '@yearly',
    '@annually', '@monthly', '@weekly', '@hourly', '@minutely', '@secondly', '@weekdays',
    '@weekends', '@reboot', '@', '60 * * * *', '* 24 * * *', '* * 0 * *', '* * 32 * *',
    '* * * 0 *', '* * * 13 *', '* * * * 8', '60 * * * * *', '-1 * * * *', '1- * * * *',
    '- * * * *', '1-2-3 * * * *', '*-5 * * * *', '5-1 * * * *', '* * * * 6-0', '* * * * 5-7',
    '* * * * 0-7', '* * * * 7-7', '* * * * 7,0', '* * * * 0-6,7', '* * * * 1-7/2',
    '* * * * 1-7/4', '* * * * */2', '* * * * */7', '* * * * 5/2', '1* * * * *', '* 2* * * *',
    '* * 1* * *', '* * * 1* *', '* * * * *5', '** * * * *', '05 007 08 09 04', '1,1 * * * *',
    '1,01 * * * *', '1-5,3 * * * *', '1,2,3 * * * *', ',1 * * * *', '1, * * * *',
    '1,,2 * * * *', ', * * * *', '/ * * * *', '/5 * * * *', '5/ * * * *', '5/0 * * * *',
    '*/0 * * * *', '*/1 * * * *', '*/90 * * * *', '*/5/5 * * * *', '*/-5 * * * *',
    '*/2-3 * * * *', '5/15 * * * *', '10-20/5 * * * *', '10-20/50 * * * *',
    '*/99999999999999999999 * * * *', '99999999999999999999 * * * *', '? * * * *', '? ? ? ? ?',
    '*/? * * * *', '1.5 * * * *', '1+1 * * * *', '0x5 * * * *', '1e1 * * * *', 'a * * * *',
    '\u0665 * * * *', 'W * * * *', '* * 15W * *', '* * LW * *', '* * L-3 * *', '* * L * *',
    '* * l * *', '* * L,15 * *', '* * 15L * *', '* * 1L-5 * *', '* * 1-5L * *', '* * L,L * *',
    '* * L,1L * *', '* * 100L * *', '* * LL * *', '* * L5 * *', '* * L/2 * *', '* * */2L * *',
    'L * * * *', '* L * * *', '* * * L *', '* * * * L', '* * * * 5L', '* * * * 7L',
    '* * * * 0L', '* * * * 8L', '* * * * 15L', '* * * * 99L', '* * * * 5L,5L',
    '* * * * 5L,05L', '* * * * 1,5L', '* * * * 1L,5L', '* * * * 1L-5', '* * * * FRIL',
    '* * * * friL', '* * * * 5l', '* * * * FRL', '* * * * 5#3', '* * * * FRI#3', '* * * * 7#1',
    '* * * * 5#0', '* * * * 5#6', '* * * * 5#03', '* * * * 5#', '* * * * #3', '* * * * #',
    '* * * * 5##3', '* * * * 5#1#2', '* * * * 5L#2', '* * * * *#2', '* * * * ?#1',
    '* * * * 1,5#3', '* * * * 1-5#3', '* * * * 5#3,1', '* * * * 5#-1', '* * 5#3 * *',
    '5#3 * * * *', '* * * * MON-FRI', '* * * * mon,WED,Fri', '* * * * SUN-SAT',
    '* * * * SAT-SUN', '* * * * FRI-SUN', '* * * * MON/2', '* * * * MONDAY', '* * * * MO',
    '* * * * MONTUE', '* * * * JAN', '* * * * DEC', '* * * JAN *', '* * * jan-MAR *',
    '* * * JAN,JUL/2 *', '* * * JANFEB *', '* * * SUN *', '* * * MON *', '* * * FOO *',
    'JAN * * * *', '* MON * * *', '* * MON * *', '0 0 30 2 *', '0 0 29 2 *', '0 0 31 4 *',
    '0 0 31 4 ?', '0 0 31 4 1', '0 0 31 4,6 *', '0 0 30,31 2 *', '0 0 30-31 2 0-7',
    '0 0 31 2-2 *', '0 0 L 2 *', '0 0 30 2 5#5', '0 0 31 */12 *', '0 0 ? * 1', '0 0 13 * 5',
    '0 0 */2 * 1', '0 0 * * 0-6', '0 0 1-31 * 5', '0 0 13 * *', '0 0 13 * ?', '   ', '\u00a0',
    '* * * * *' + ' '.repeat(1015), '* * * * *' + ' '.repeat(1016),
    `${'0,'.repeat(300)}1 * * * *`, '* * * * \u2028*', '* * * * \u180e*', '\u0001 * * * *',
    '* * * * \ud83d\ude00',
];

// Taken by cron-parser and refused by Ox, with the reason.
export const deliberate = [
    ['', 'BullMQ itself takes no empty pattern'],
    ['H * * * *', 'without a seed, each look for the next time would find another one'],
    ['H(0-29)/10 * * * *', 'the same'],
    ['* * * * 5#0x3', 'not written as a number from 1 to 5'],
    ['* * * * 5#2.5', 'no such weekday, so it would never fire'],
    ['* * * * 5#+3', 'not written as a number from 1 to 5'],
    ['0 0 1,31,31 2 *', 'a value twice is refused also where the month lacks that day'],
];

// What chance seldom finds: the way to the time decides, not only the time itself.
export const crooked = [
    ['0 0 5 * * *', 'Australia/Lord_Howe', '2025-04-04T20:00:00Z'],
    ['0 10 * * * *', 'Australia/Lord_Howe', '2025-04-05T14:15:00Z'],
    ['0 45 1 * * *', 'Australia/Lord_Howe', '2025-04-05T13:00:00Z'],
    ['0 15 2 * * *', 'Australia/Lord_Howe', '2025-10-04T13:00:00Z'],
    ['0 15 23 * * *', 'Asia/Pyongyang', '2018-05-04T14:20:00Z'],
    ['0 */2 * * *', 'Asia/Bishkek', '2004-10-30T19:35:00Z'],
    ['30 * * * *', 'Asia/Bishkek', '1999-10-30T19:30:00Z'],
    ['0 0 1 11 *', 'America/Havana', '2026-10-20T04:30:00Z'],
    ['30 0 1 11 *', 'America/Havana', '2026-11-01T04:00:00Z'],
    ['0 0 30 12 *', 'Pacific/Apia', '2011-12-29T09:00:00Z'],
    ['30 1 * * *', 'Antarctica/Troll', '2026-03-28T09:00:00Z'],
    ['30 1-2 * * *', 'Antarctica/Troll', '2026-10-24T09:00:00Z'],
    ['0 0 * * *', 'America/Sao_Paulo', '2018-11-03T09:00:00Z'],
];

// Where the times are compared: all ways in which clocks are changed.
export const zonesCompared = [
    'Europe/Berlin', 'Europe/London', 'Europe/Dublin', 'Europe/Moscow', 'Europe/Istanbul',
    'America/New_York', 'America/Los_Angeles', 'America/St_Johns', 'America/Havana',
    'America/Sao_Paulo', 'America/Santiago', 'America/Asuncion', 'America/Caracas',
    'America/Godthab', 'America/Scoresbysund', 'Atlantic/Azores', 'Africa/Casablanca',
    'Africa/El_Aaiun', 'Africa/Cairo', 'Asia/Kolkata', 'Asia/Kathmandu', 'Asia/Tehran',
    'Asia/Beirut', 'Asia/Amman', 'Asia/Bishkek', 'Asia/Gaza', 'Asia/Jerusalem',
    'Asia/Pyongyang',
    'Australia/Lord_Howe', 'Australia/Adelaide', 'Australia/Sydney', 'Australia/Eucla',
    'Pacific/Apia', 'Pacific/Auckland', 'Pacific/Chatham', 'Pacific/Easter', 'Pacific/Fiji',
    'Antarctica/Troll', 'Antarctica/Casey', 'Pacific/Kiritimati', 'UTC', 'Etc/GMT+12',
    'EST5EDT', 'PST', 'europe/paris', 'UTC+5:30', 'utc-8',
];

// Node's zones, without those that are newer than the machine's own.
const ofNode = Intl.supportedValuesOf('timeZone')
    .filter((tz) => existsSync(`/usr/share/zoneinfo/${tz}`));

// Names of time zones that both take.
export const zonesTaken = [
    ...ofNode, 'UTC', 'utc', 'gmt', 'GMT', 'Etc/UTC', 'Zulu',
    'UTC+3', 'UTC-11', 'utc+05:30', 'UTC-0:45', 'UTC+99', 'UTC+14:99', 'local', 'System',
    'DEFAULT', 'europe/BERLIN', 'us/eastern', 'GB', 'NZ-CHAT', 'EST', 'MST7MDT',
    'Etc/GMT+5', 'Etc/GMT-14', 'America/Argentina/ComodRivadavia',
    ...'ACT AET AGT ART AST BET BST CAT CNT CST CTT EAT ECT IET IST JST'.split(' '),
    ...'MIT NET NST PLT PNT PRT PST SST VST pst'.split(' '),
];

// And those that both refuse.
export const zonesRefused = [
    '', ' ', 'UTC+', 'UTC+123', 'UTC+3:', 'UTC+3:5', 'UTC+3:555', 'UTC 3', 'UTC+ 3',
    'UTC++3', 'GMT+3', 'Mars/Base', 'Europe', 'Europe/', '/Europe/Berlin',
    'Europe//Berlin', 'Europe/Berlin/', 'Europe/Berlin ', ' Europe/Berlin',
    'US/../Europe/Berlin', './Europe/Berlin', '../../../etc/passwd',
    '/usr/share/zoneinfo/Europe/Berlin', 'posix/Europe/Berlin', 'right/Europe/Berlin',
    'posixrules', 'localtime', 'zone.tab', 'tzdata.zi', 'leapseconds', '+2',
    '-5', 'EST5', 'EST5EDT4', 'CET-1CEST,M3.5.0,M10.5.0/3', ':Europe/Berlin', 'Z',
    'Etc/Unknown', 'Europe/K\u00f6ln', 'x'.repeat(300),
];
