using System.Security.Cryptography;
using System.Text;
using Caisson.Contracts;
using Caisson.Core.Agents;
using Caisson.Core.Blobs;
using Caisson.Core.Journal;
using Caisson.Core.Lifecycle;
using Caisson.Core.Operations;
using Caisson.Core.Retention;
using Caisson.Core.Sandboxes;
using Caisson.Core.Stores;
using Caisson.Sandboxes.Native;
using Caisson.Sandboxes.Workspaces;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.EngineTests;

/// <summary>What stays of an ended run's files: on the real store, with real workspaces, under the real retention.</summary>
public sealed class KeptFilesTests : EngineTestBase
{
    private const string Listed = Manifest + "workspace: { artifacts: [report.md, out, none, link/report.md] }\n";
    private const string Artifacts = Manifest + "workspace: { artifacts: [report.md, out, none, link/report.md], keep: artifacts }\n";
    private const string None = Manifest + "workspace: { artifacts: [report.md], keep: none }\n";

    private readonly byte[][] _junk = [RandomNumberGenerator.GetBytes(50_000), RandomNumberGenerator.GetBytes(60_000)];
    private readonly byte[][] _reports = [RandomNumberGenerator.GetBytes(70_000), RandomNumberGenerator.GetBytes(80_000)];
    private readonly byte[] _data = RandomNumberGenerator.GetBytes(90_000);
    private FileBlobStore? _files;

    [Fact]
    public async Task With_artifacts_all_else_goes_from_the_disk_and_they_stay_readable()
    {
        var server = await ServeAsync(TwoTurns());
        var run = await server.CreateAsync(Artifacts);

        var ended = await server.UntilAsync(run, RunStatus.Completed);

        var journal = await server.JournalAsync(run);
        Assert.Equal([EntryKind.WorkspaceKept, EntryKind.RunEnded], journal.TakeLast(2).Select(e => e.Kind));
        Assert.Equal(new EntryBody.WorkspaceKept(WorkspaceKeep.Artifacts, ended.Summary.WorkspaceRoot), JournalJson.Read<EntryBody.WorkspaceKept>(journal[^2].Body));
        Assert.Equal((WorkspaceKeep.Artifacts, null), (ended.Summary.Kept, ended.Summary.Detail));
        Assert.Empty((await server.Operations.VerifyAsync(run, default))!.Findings);
        await SweepAsync(server);

        var next = await ServeAsync(TwoTurns());
        Assert.Equal(["out/deep/data", "report.md"], (await next.Runs.ListFilesAsync(run, 100, default)).Select(f => f.Name));
        Assert.Equal(_reports[1], (await next.Runs.ReadFileAsync(run, "report.md", default))!.Value.ToArray());
        Assert.Equal(_data, (await next.Runs.ReadFileAsync(run, "out/deep/data", default))!.Value.ToArray());
        Assert.Null(await next.Runs.ReadFileAsync(run, "junk/two", default));
        await AssertStoredAsync(next.Files, [_reports[1], _data], [.. _junk, _reports[0]]);
        Assert.Equal(5, BlobFiles().Count);
        Assert.Empty((await next.Operations.VerifyAsync(run, default))!.Findings);

        // What it did keep is missed.
        File.Delete(Assert.Single(BlobFiles(), f => Path.GetFileName(f).EndsWith(ended.Summary.WorkspaceRoot![2..], StringComparison.Ordinal)));
        Assert.Equal("blob_missing", Assert.Single((await next.Operations.VerifyAsync(run, default))!.Findings).Code);
    }

    [Fact]
    public async Task With_none_nothing_of_the_files_stays()
    {
        var server = await ServeAsync(TwoTurns());
        var run = await server.CreateAsync(None);

        var ended = await server.UntilAsync(run, RunStatus.Completed);

        Assert.Equal((WorkspaceKeep.None, null), (ended.Summary.Kept, ended.Summary.WorkspaceRoot));
        await SweepAsync(server);
        var next = await ServeAsync(TwoTurns());
        Assert.Empty(await next.Runs.ListFilesAsync(run, 100, default));
        Assert.Empty(BlobFiles());
        Assert.Empty((await next.Operations.VerifyAsync(run, default))!.Findings);
    }

    [Fact]
    public async Task Without_a_word_everything_stays_and_can_be_forked()
    {
        var server = await ServeAsync(TwoTurns());
        var run = await server.CreateAsync(Listed);

        var ended = await server.UntilAsync(run, RunStatus.Completed);

        Assert.Null(ended.Summary.Kept);
        Assert.DoesNotContain(EntryKind.WorkspaceKept, await server.KindsAsync(run));
        await SweepAsync(server);
        var next = await ServeAsync(TwoTurns());
        await AssertStoredAsync(next.Files, [.. _junk, .. _reports, _data], []);
        Assert.Empty((await next.Operations.VerifyAsync(run, default))!.Findings);
        Assert.Equal("done", (await next.UntilAsync(Assert.IsType<CreateRunOutcome.Accepted>(await ForkAsync(next, run, StepsOf(await next.JournalAsync(run))[0])).Run, RunStatus.Completed)).Summary.Result);
    }

    [Theory]
    [InlineData(RunStatus.Failed)]
    [InlineData(RunStatus.Cancelled)]
    public async Task Whatever_ends_the_run_its_artifacts_are_kept(RunStatus end)
    {
        var gate = new Gate();
        var server = await ServeAsync(async context =>
        {
            await TurnAsync(context, 0);
            if (end == RunStatus.Failed)
                throw new StepFailedException(new Failure("too_bad", "it is bad"));
            await StepAsync(context, "wait", gate.PassAsync);
            return "";
        });
        var run = await server.CreateAsync(Artifacts);
        if (end == RunStatus.Cancelled)
        {
            await gate.Reached;
            await server.Runs.CancelAsync(run, "me", "no more", default);
        }

        var ended = await server.UntilAsync(run, end);

        Assert.Equal([EntryKind.WorkspaceKept, EntryKind.RunEnded], (await server.KindsAsync(run)).TakeLast(2));
        Assert.Equal((WorkspaceKeep.Artifacts, end == RunStatus.Failed ? "it is bad" : "no more"), (ended.Summary.Kept, ended.Summary.Detail));
        Assert.Equal(["report.md"], (await server.Runs.ListFilesAsync(run, 100, default)).Select(f => f.Name));
    }

    [Fact]
    public async Task A_run_that_never_saved_files_ends_as_ever()
    {
        var server = await ServeAsync(Steps(1));
        var run = await server.CreateAsync(Artifacts);

        var ended = await server.UntilAsync(run, RunStatus.Completed);

        Assert.Equal((null, null), (ended.Summary.Kept, ended.Summary.WorkspaceRoot));
        Assert.DoesNotContain(EntryKind.WorkspaceKept, await server.KindsAsync(run));
    }

    [Fact]
    public async Task Files_that_cannot_be_set_apart_are_all_kept_and_that_is_told()
    {
        var gate = new Gate();
        var server = await ServeAsync(async context =>
        {
            await TurnAsync(context, 0);
            await StepAsync(context, "wait", gate.PassAsync);
            return "done";
        });
        var run = await server.CreateAsync(Artifacts);
        await gate.Reached;
        var root = (await server.Store.FindAsync(run, default))!.Summary.WorkspaceRoot!;
        File.Delete(Assert.Single(BlobFiles(), f => Path.GetFileName(f).EndsWith(root[2..], StringComparison.Ordinal)));
        gate.Open();

        var ended = await server.UntilAsync(run, RunStatus.Completed);

        Assert.Equal((null, root), (ended.Summary.Kept, ended.Summary.WorkspaceRoot));
        Assert.StartsWith("all files are kept, because the artifacts could not be set apart: blob " + root, ended.Summary.Detail, StringComparison.Ordinal);
    }

    /// <summary>The smaller tree is stored, the end is not written: another owner makes the same of it, once.</summary>
    [Fact]
    public async Task A_death_between_the_stored_tree_and_the_end_leaves_one_end_and_the_same_tree()
    {
        var gate = new Gate();
        var server = await ServeAsync(TwoTurns(), blobs: files => new Halting(files, gate));
        var run = await server.CreateAsync(Artifacts);
        await gate.Reached;
        Assert.DoesNotContain(EntryKind.WorkspaceKept, await server.KindsAsync(run));
        var stored = BlobFiles();
        await server.StopHardAsync();
        gate.Open();

        var next = await ServeAsync(TwoTurns());
        var ended = await next.UntilAsync(run, RunStatus.Completed);

        Assert.Equal(stored, BlobFiles());
        Assert.Equal(2, Executed.Count);
        var kinds = await next.KindsAsync(run);
        Assert.Single(kinds, EntryKind.WorkspaceKept);
        Assert.Equal([EntryKind.EpochClaimed, EntryKind.WorkspaceKept, EntryKind.RunEnded], kinds.TakeLast(3));
        Assert.Equal(["out/deep/data", "report.md"], (await next.Runs.ListFilesAsync(run, 100, default)).Select(f => f.Name));
        Assert.Equal(WorkspaceKeep.Artifacts, ended.Summary.Kept);
        Assert.Empty((await next.Operations.VerifyAsync(run, default))!.Findings);
    }

    [Theory]
    [InlineData(Artifacts, "only its artifacts")]
    [InlineData(None, "none of its files")]
    public async Task A_fork_that_needs_files_which_were_let_go_is_refused_before_it_exists(string manifest, string kept)
    {
        var server = await ServeAsync(TwoTurns());
        var run = await server.CreateAsync(manifest);
        await server.UntilAsync(run, RunStatus.Completed);
        var steps = StepsOf(await server.JournalAsync(run));

        // Before any sweep as well as after it: it is no matter of luck.
        for (var swept = false; ; swept = true)
        {
            foreach (long? at in new long?[] { steps[0], steps[1], null })
            {
                var refused = Assert.IsType<CreateRunOutcome.Refused>(await ForkAsync(server, run, at)).Failure;
                Assert.Equal(ErrorCodes.BlobMissing, refused.Code);
                Assert.Contains($"kept {kept} when it ended", refused.Message, StringComparison.Ordinal);
                Assert.Contains($"those of entry {steps[0]}: the last place that needs none is 1", refused.Message, StringComparison.Ordinal);
            }

            Assert.Single(await server.Store.ListAsync(new RunFilter(null, null, null, 10), default));
            if (swept)
                break;
            await SweepAsync(server);
            server = await ServeAsync(TwoTurns());
        }

        var fork = Assert.IsType<CreateRunOutcome.Accepted>(await ForkAsync(server, run, 1)).Run;
        Assert.Equal("done", (await server.UntilAsync(fork, RunStatus.Completed)).Summary.Result);
    }

    /// <summary>It has the part of the journal that it needs, so it refers to the files itself.</summary>
    [Fact]
    public async Task A_fork_that_was_made_before_the_end_keeps_the_files_that_its_origin_let_go()
    {
        var (gate, later) = (new Gate(), new Gate());
        var origin = default(RunId);
        Func<IRunContext, Task<string>> agent = async context =>
        {
            await TurnAsync(context, 0);
            await StepAsync(context, "wait", context.Run == origin ? gate.PassAsync : later.PassAsync);
            await TurnAsync(context, 1);
            return "done";
        };
        var server = await ServeAsync(agent);
        var run = origin = await server.CreateAsync(None);
        await gate.Reached;
        var place = StepsOf(await server.JournalAsync(run))[0];
        var fork = Assert.IsType<CreateRunOutcome.Accepted>(await ForkAsync(server, run, place, "key")).Run;
        await later.Reached;
        gate.Open();
        await server.UntilAsync(run, RunStatus.Completed);
        // The same request again is answered with what it made, and no other is.
        Assert.Equal(new CreateRunOutcome.Accepted(fork, Existing: true), await ForkAsync(server, run, place, "key"));
        Assert.Equal(ErrorCodes.BlobMissing, Assert.IsType<CreateRunOutcome.Refused>(await ForkAsync(server, run, place)).Failure.Code);
        Assert.Equal(ErrorCodes.IdempotencyMismatch, Assert.IsType<CreateRunOutcome.Refused>(await ForkAsync(server, run, 1, "key")).Failure.Code);

        await SweepAsync(server);

        await using var next = new TestServer(Folder);
        Assert.Equal(["junk/one", "link", "report.md"], (await next.Runs.ListFilesAsync(fork, 100, default)).Select(f => f.Name));
        await AssertStoredAsync(next.Files, [_junk[0], _reports[0]], [_junk[1], _reports[1], _data]);
        Assert.Empty((await next.Operations.VerifyAsync(fork, default))!.Findings);
        Assert.Empty((await next.Operations.VerifyAsync(run, default))!.Findings);
        later.Open();
    }

    private Task<TestServer> ServeAsync(Func<IRunContext, Task<string>> agent, Func<IBlobStore, IBlobStore>? blobs = null) => StartAsync(agent, blobs: blobs, before: server =>
    {
        _files = server.Files;
        return Task.CompletedTask;
    });

    private Func<IRunContext, Task<string>> TwoTurns() => async context =>
    {
        await TurnAsync(context, 0);
        await TurnAsync(context, 1);
        return "done";
    };

    /// <summary>A tool step that changes files and saves them, as a box does: the first makes a report and junk, the second other ones, and data.</summary>
    private async Task TurnAsync(IRunContext context, int turn) => await ((RunContext)context).ToolAsync(
        new StepKey(StepHash.Of("turn", turn == 0 ? "one" : "two")), new StepSubject(StepKind.Tool, "files", "", null, null), async (_, step) =>
        {
            Executed.Enqueue($"turn {turn}");
            var files = Directory.CreateDirectory(Path.Combine(Folder, "files", context.Run.ToString())).FullName;
            if (Directory.Exists(Path.Combine(files, "junk")))
                Directory.Delete(Path.Combine(files, "junk"), recursive: true);
            Write("report.md", _reports[turn]);
            Write(turn == 0 ? "junk/one" : "junk/two", _junk[turn]);
            if (turn == 1)
                Write("out/deep/data", _data);
            else
                File.CreateSymbolicLink(Path.Combine(files, "link"), ".");
            using var folder = Libc.Open(Libc.CurrentDirectory, Encoding.UTF8.GetBytes(files), Libc.ReadOnly | Libc.Directory);
            var saved = Assert.IsType<WorkspaceSaveOutcome.Saved>(await new Workspace(_files!, TimeProvider.System, 1 << 30).SaveAsync(folder, step.Cancellation));
            return new StepAttempt.Done("{}"u8.ToArray(), WorkspaceRoot: saved.Root.Hash);

            void Write(string name, byte[] content)
            {
                Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(files, name))!);
                File.WriteAllBytes(Path.Combine(files, name), content);
            }
        });

    private static Task<CreateRunOutcome> ForkAsync(TestServer server, RunId run, long? at, string? key = null) =>
        server.Operations.ForkAsync(run, new ForkSpec(at, null, new RunOverrides(), ForkEffects.Live, Admin: false), key, default);

    private static List<long> StepsOf(IReadOnlyList<JournalEntry> journal) => [.. journal.Where(e => e.Kind == EntryKind.StepCompleted).Select(e => e.Seq)];

    /// <summary>The server ends; then hours pass, with rounds of retention.</summary>
    private async Task SweepAsync(TestServer server)
    {
        await server.StopHardAsync();
        var clock = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var store = SqliteStoreHost.Open(Folder, clock);
        var keeper = new RetentionKeeper(new RetentionOptions { KeepEnded = null }, store, new FileBlobStore(Path.Combine(Folder, "blobs"), store.TenantKey.Span, clock), new WorkspaceTrees(), clock, NullLogger.Instance);
        for (var round = 0; round < 3; round++)
        {
            clock.Advance(BlobPromise.KeptUnreferenced + TimeSpan.FromMinutes(1));
            Assert.Empty((await keeper.RunOnceAsync(default)).Blobs.Unreadable);
        }
    }

    private List<string> BlobFiles() => [.. Directory.EnumerateFiles(Path.Combine(Folder, "blobs"), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    private static async Task AssertStoredAsync(FileBlobStore files, byte[][] there, byte[][] gone)
    {
        foreach (var content in there)
            Assert.NotNull(await files.GetAsync(files.AddressOf(content), default));
        foreach (var content in gone)
            Assert.Null(await files.GetAsync(files.AddressOf(content), default));
    }

    /// <summary>Stores, and does not come back, when a tree without junk is put: that is the one of the artifacts.</summary>
    private sealed class Halting(IBlobStore blobs, Gate gate) : IBlobStore
    {
        public async Task<IReadOnlyList<string>> PutAsync(IReadOnlyList<ReadOnlyMemory<byte>> contents, CancellationToken cancellationToken)
        {
            var addresses = await blobs.PutAsync(contents, cancellationToken);
            if (contents is [.., var root] && root.Span.IndexOf("report.md"u8) >= 0 && root.Span.IndexOf("junk"u8) < 0)
                await gate.PassAsync(cancellationToken);
            return addresses;
        }

        public string AddressOf(ReadOnlySpan<byte> content) => blobs.AddressOf(content);

        public Task<ReadOnlyMemory<byte>?> GetAsync(string address, CancellationToken cancellationToken) => blobs.GetAsync(address, cancellationToken);
    }
}
