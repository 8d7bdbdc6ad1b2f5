/*
 * flows.test.mjs - items 58 to 60: parents and children, made and run by either side.
 */
import { assert, item, json, selfCheck } from './support/suite.mjs';
import { waitFor } from './support/wait.mjs';

const childKey = (ctx, id) => `bull:${ctx.q}c:${id}`;

/* A parent in q with children in qc. Each child: {id, data, opts}. */
function flowOf(ctx, children, parentOpts = {}) {
    return {
        name: 'parent', queueName: ctx.q, data: { is: 'parent' },
        opts: { jobId: 'p', ...parentOpts },
        children: children.map(({ id, data, opts }) => ({
            name: 'child', queueName: `${ctx.q}c`, data, opts: { jobId: id, ...opts } })),
    };
}

async function assertFlowRuns(ctx, add) {
    const values = { a: { n: 1 }, b: 'two', c: null };
    const flow = flowOf(ctx, Object.entries(values).map(([id, value]) => (
        { id, data: { do: 'return', value } })));
    assert.equal(await add(flow), 'p');
    const queue = await ctx.N.queue(ctx.q);
    const expected = Object.keys(values).map((id) => childKey(ctx, id)).sort();
    assert.equal(await queue.getJobState('p'), 'waiting-children');
    assert.deepEqual((await ctx.redis.smembers(ctx.key('p:dependencies'))).sort(), expected);
    for (const id of Object.keys(values)) {
        const child = await ctx.hash(id, `${ctx.q}c`);
        assert.equal(child.parentKey, ctx.key('p'));
        assert.deepEqual(json(child.parent), { id: 'p', queueKey: `bull:${ctx.q}` });
    }
    assert.deepEqual((await ctx.events()).map((e) => e.flat), [
        ['event', 'added', 'jobId', 'p', 'name', 'parent'],
        ['event', 'waiting-children', 'jobId', 'p'],
    ]);

    await ctx.oxWorker({}, `${ctx.q}c`);
    await waitFor(async () => (await queue.getJobState('p')) === 'waiting', 'the release');
    assert.deepEqual((await ctx.events()).at(-1).flat,
        ['event', 'waiting', 'jobId', 'p', 'prev', 'waiting-children']);
    const processed = await ctx.redis.hgetall(ctx.key('p:processed'));
    assert.deepEqual(Object.keys(processed).sort(), expected);
    assert.equal(await ctx.redis.exists(ctx.key('p:dependencies')), 0);
    const job = await queue.getJob('p');
    const seen = Object.fromEntries(Object.entries(values).map(([id, value]) => (
        [childKey(ctx, id), value])));
    assert.deepEqual(await job.getChildrenValues(), seen);
    const children = await ctx.ox.call('children', { queue: ctx.q, job: 'p' });
    assert.deepEqual(Object.fromEntries(children.map((one) => [one.key, json(one.text)])), seen);
    assert.ok(children.every((one) => one.kind === 'processed'));

    const parentWorker = await ctx.oxWorker();
    await ctx.untilCount('completed', 1);
    assert.equal(parentWorker.starts('p').length, 1);
    assert.deepEqual(json((await ctx.hash('p')).returnvalue), { is: 'parent' });
}

item(58, 'worker',
    'a BullMQ flow: Ox runs the children, then the parent, with their values', {},
    (ctx) => assertFlowRuns(ctx, async (flow) => (await ctx.N.flows().add(flow)).job.id));

item(58, 'producer', 'an Ox flow has the same keys, events and values', {},
    (ctx) => assertFlowRuns(ctx, (flow) => ctx.ox.call('flow', { flow })));

item(58, 'producer', 'an Ox flow is run by BullMQ, three levels deep', {}, async (ctx) => {
    const leaf = (value) => ({ name: 'leaf', queueName: ctx.q, data: { do: 'return', value } });
    const flow = {
        name: 'root', queueName: ctx.q, opts: { jobId: 'root' },
        children: [
            { ...leaf('m1'), name: 'middle', children: [leaf(1), leaf(2)] },
            { ...leaf('m2'), name: 'middle', opts: { priority: 3 }, children: [leaf(3)] },
        ],
    };
    assert.equal(await ctx.ox.call('flow', { flow }), 'root');
    const tree = await ctx.N.flows().getFlow({ queueName: ctx.q, id: 'root', depth: 5 });
    assert.equal(tree.children.length, 2);
    assert.deepEqual(tree.children.map((one) => one.children.length).sort(), [1, 2]);
    await ctx.N.worker(ctx.q);
    await ctx.untilCount('completed', 6);
    const root = await (await ctx.N.queue(ctx.q)).getJob('root');
    assert.deepEqual(Object.values(await root.getChildrenValues()).sort(), ['m1', 'm2']);
});

item(58, 'worker', 'a job adds children while it runs, waits for them, and goes on', {},
    async (ctx) => {
        const queue = await ctx.N.queue(ctx.q);
        const child = (jobId) => ({ do: 'child', queue: `${ctx.q}c`, name: 'child',
            data: { do: 'return', value: jobId }, opts: { jobId } });
        const { id } = await queue.add('parent', { starts: [
            [child('a'), child('b'), { do: 'wait_children' }],
            [{ do: 'return', value: 'done' }],
        ] });
        const worker = await ctx.oxWorker();
        await waitFor(async () => (await queue.getJobState(id)) === 'waiting-children', 'waiting');
        assert.equal(await ctx.redis.exists(ctx.key(`${id}:lock`)), 0);
        await ctx.N.worker(`${ctx.q}c`);
        await ctx.untilCount('completed', 1);
        assert.equal(worker.starts(id).length, 2);
        assert.equal((await ctx.hash(id)).atm, '1');
        const job = await queue.getJob(id);
        assert.deepEqual(await job.getChildrenValues(),
            { [childKey(ctx, 'a')]: 'a', [childKey(ctx, 'b')]: 'b' });
    });

item(58, 'worker', 'a job that waits for children but has none goes on', {}, async (ctx) => {
    const queue = await ctx.N.queue(ctx.q);
    const { id } = await queue.add('lonely',
        { steps: [{ do: 'wait_children' }, { do: 'return', value: 'went on' }] });
    const worker = await ctx.oxWorker();
    await ctx.untilCount('completed', 1);
    assert.equal(worker.starts(id).length, 1);
    assert.equal(json((await ctx.hash(id)).returnvalue), 'went on');
});

/*
 * Two children: "bad" fails with the flag, then "good" completes. What the parent is after
 * the first and after the second, and what it knows of the bad one.
 */
const table = [
    { flag: undefined, first: 'waiting-children', second: 'waiting-children', kind: 'pending' },
    { flag: 'failParentOnFailure', first: 'waiting', second: 'waiting', kind: 'failed' },
    { flag: 'continueParentOnFailure', first: 'waiting', second: 'waiting', kind: 'ignored' },
    { flag: 'ignoreDependencyOnFailure', first: 'waiting-children', second: 'waiting',
        kind: 'ignored' },
    { flag: 'removeDependencyOnFailure', first: 'waiting-children', second: 'waiting',
        kind: undefined },
];

const short = { failParentOnFailure: 'fpof', continueParentOnFailure: 'cpof',
    ignoreDependencyOnFailure: 'idof', removeDependencyOnFailure: 'rdof' };

async function assertFlag(ctx, row, add) {
    const queue = await ctx.N.queue(ctx.q);
    const children = await ctx.N.queue(`${ctx.q}c`);
    const flag = row.flag ? { [row.flag]: true } : {};
    await add(flowOf(ctx, [
        { id: 'bad', data: { do: 'fail', reason: 'bad one' }, opts: flag },
        { id: 'good', data: { steps: [{ do: 'hold' }, { do: 'return', value: 1 }] }, opts: {} },
    ]));
    const bond = json((await ctx.hash('bad', `${ctx.q}c`)).parent);
    assert.deepEqual(bond, { id: 'p', queueKey: `bull:${ctx.q}`,
        ...(row.flag ? { [short[row.flag]]: true } : {}) });

    const worker = await ctx.oxWorker({ concurrency: 2 }, `${ctx.q}c`);
    await waitFor(async () => (await children.getJobState('bad')) === 'failed', 'bad to fail');
    await waitFor(() => worker.starts('good').length === 1, 'good to start');
    assert.equal(await queue.getJobState('p'), row.first);
    await worker.go();
    await waitFor(async () => (await children.getJobState('good')) === 'completed', 'good');
    assert.equal(await queue.getJobState('p'), row.second);

    const bad = childKey(ctx, 'bad');
    const seen = await ctx.ox.call('children', { queue: ctx.q, job: 'p' });
    assert.equal(seen.find((one) => one.key === bad)?.kind, row.kind);
    assert.equal(await ctx.redis.zcard(ctx.key('p:unsuccessful')), row.kind === 'failed' ? 1 : 0);
    assert.deepEqual(await ctx.redis.hgetall(ctx.key('p:failed')),
        row.kind === 'ignored' ? { [bad]: 'bad one' } : {});
    assert.equal((await ctx.hash('p')).defa,
        row.kind === 'failed' ? `child ${bad} failed` : undefined);
    const job = await queue.getJob('p');
    if (row.kind === 'ignored')
        assert.deepEqual(await job.getIgnoredChildrenFailures(), { [bad]: 'bad one' });
    assert.deepEqual(await job.getChildrenValues(), { [childKey(ctx, 'good')]: 1 });
}

for (const row of table) {
    const what = row.flag ?? 'no flag';
    item(59, 'worker', `a failing child with ${what} does to the parent what it should`, {},
        (ctx) => assertFlag(ctx, row, (flow) => ctx.N.flows().add(flow)));
    item(59, 'producer', `a flow of Ox with ${what}: the same`, {},
        (ctx) => assertFlag(ctx, row, (flow) => ctx.ox.call('flow', { flow })));
}

item(60, 'worker',
    'a parent with a failed fpof child fails unrun, with the child in the reason',
    {}, async (ctx) => {
        await ctx.N.flows().add(flowOf(ctx, [{ id: 'bad', data: { do: 'fail', reason: 'x' },
            opts: { failParentOnFailure: true } }], { attempts: 4 }));
        await ctx.oxWorker({}, `${ctx.q}c`);
        const parents = await ctx.oxWorker();
        await ctx.untilCount('failed', 1);
        const hash = await ctx.hash('p');
        assert.equal(hash.failedReason, `child ${childKey(ctx, 'bad')} failed`);
        assert.equal(hash.defa, undefined);
        assert.deepEqual(parents.starts(), []);
        await ctx.assertQuiet();
    });

item(60, 'worker', 'the failure travels up: a grandparent with fpof fails as well', {},
    async (ctx) => {
        const node = (name, jobId, more) => ({ name, queueName: ctx.q,
            opts: { jobId, ...(jobId === 'top' ? {} : { failParentOnFailure: true }) }, ...more });
        await ctx.ox.call('flow', { flow: node('top', 'top', { children: [
            node('middle', 'middle', { children: [
                node('leaf', 'leaf', { data: { do: 'fail', reason: 'deep' } })] })] }) });
        const worker = await ctx.oxWorker();
        await ctx.untilCount('failed', 3);
        assert.equal((await ctx.hash('top')).failedReason, `child ${ctx.key('middle')} failed`);
        assert.equal((await ctx.hash('middle')).failedReason, `child ${ctx.key('leaf')} failed`);
        assert.deepEqual(worker.starts().map((start) => start.job), ['leaf']);
    });

item(60, 'operator',
    'removing a pending child releases the parent, to prioritized if it has one',
    { differs: 'it forgets the priority of the parent' }, async (ctx) => {
        await ctx.N.flows().add(flowOf(ctx, [{ id: 'a', data: {} }], { priority: 5 }));
        await ctx.ox.call('remove', { queue: `${ctx.q}c`, job: 'a' });
        assert.deepEqual(await ctx.redis.zrange(ctx.key('prioritized'), 0, -1), ['p']);
        await ctx.N.worker(ctx.q);
        await ctx.untilCount('completed', 1);
    });

item(60, 'operator', 'removing a parent with its children leaves nothing of the tree', {},
    async (ctx) => {
        await ctx.N.flows().add(flowOf(ctx, [{ id: 'a', data: {} }, { id: 'b', data: {} }]));
        await ctx.ox.call('remove', { queue: ctx.q, job: 'p', with_children: true });
        assert.equal(await ctx.redis.exists(ctx.key('p'), ctx.key('p:dependencies'),
            childKey(ctx, 'a'), childKey(ctx, 'b'), `bull:${ctx.q}c:wait`,
            ctx.key('waiting-children')), 0);
    });

item(60, 'operator', 'breaking the bond releases the parent', {}, async (ctx) => {
    await ctx.N.flows().add(flowOf(ctx, [{ id: 'a', data: {} }]));
    const queue = { queue: `${ctx.q}c`, job: 'a' };
    assert.equal(await ctx.ox.call('remove_child_dependency', queue), 1);
    if (!selfCheck)
        assert.equal(await ctx.ox.call('remove_child_dependency', queue), 0);
    assert.deepEqual(await ctx.wait(), ['p']);
    const child = await ctx.hash('a', `${ctx.q}c`);
    assert.equal(child.parentKey, undefined);
    assert.equal(child.parent, undefined);
});

item(60, 'operator', 'retrying a failed fpof child gives it back to its parent', {},
    async (ctx) => {
        const children = await ctx.N.queue(`${ctx.q}c`);
        await ctx.N.flows().add(flowOf(ctx, [{ id: 'bad', opts: { failParentOnFailure: true },
            data: { starts: [[{ do: 'fail', reason: 'once' }], []] } }]));
        const worker = await ctx.N.worker(`${ctx.q}c`);
        await waitFor(async () => (await children.getJobState('bad')) === 'failed', 'a failure');
        assert.equal(await ctx.redis.zcard(ctx.key('p:unsuccessful')), 1);
        await worker.pause();
        await ctx.ox.call('retry', { queue: `${ctx.q}c`, job: 'bad', state: 'failed' });
        assert.equal(await ctx.redis.zcard(ctx.key('p:unsuccessful')), 0);
        assert.deepEqual(await ctx.redis.smembers(ctx.key('p:dependencies')),
            [childKey(ctx, 'bad')]);
    });
