using Caisson.Core.Blobs;
using Caisson.Core.Stores;
using Caisson.Storage.Sqlite.Blobs;
using Caisson.Storage.Tests.Sqlite;
using Microsoft.Extensions.Time.Testing;

namespace Caisson.Storage.Tests.Safety;

public sealed class BlobShelvesTests : IDisposable
{
    private static readonly string Address = new('a', 64);

    private readonly TempFolder _folder = new();
    private readonly FakeTimeProvider _clock = new();
    private readonly BlobShelves _shelves;

    public BlobShelvesTests() => _shelves = new BlobShelves(_folder.Path, _clock);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_name_is_durable_when_its_folder_was_synced_after_it_came()
    {
        Place();
        Assert.False(_shelves.AreDurable([Address]));
        _shelves.Sync([Address], new ParallelOptions());
        Assert.True(_shelves.AreDurable([Address]));

        Place();

        Assert.False(_shelves.AreDurable([Address]));
    }

    /// <summary>A process may be killed between the rename and the sync of the folder, and the machine after it.</summary>
    [Fact]
    public void A_name_that_an_earlier_process_gave_is_not_taken_for_durable()
    {
        Place();
        _shelves.Sync([Address], new ParallelOptions());

        var next = new BlobShelves(_folder.Path, _clock);

        Assert.True(next.Keep(Address));
        Assert.False(next.AreDurable([Address]));
        next.Sync([Address], new ParallelOptions());
        Assert.True(next.AreDurable([Address]));
    }

    [Fact]
    public void What_was_wanted_after_it_was_listed_as_old_is_not_set_aside()
    {
        Place();
        _clock.Advance(TimeSpan.FromHours(1));
        var before = _clock.GetUtcNow();
        Assert.Equal([Address], _shelves.Old(0xaa, before));

        Assert.True(_shelves.Keep(Address));

        Assert.False(_shelves.SetAside(Address, before));
        Assert.True(_shelves.SetAside(Address, before.AddTicks(1)));
    }

    [Fact]
    public void What_was_set_aside_lately_is_not_removed()
    {
        Place();
        _clock.Advance(TimeSpan.FromHours(1));
        var now = _clock.GetUtcNow();
        Assert.True(_shelves.SetAside(Address, now));

        Assert.Null(_shelves.Remove(Address, now));
        Assert.Equal(4, _shelves.Remove(Address, now.AddTicks(1)));
        Assert.False(_shelves.Keep(Address));
    }

    /// <summary>The put comes between the sweep's look at the blob's age and its rename: it waits, and brings the blob back.</summary>
    [Fact]
    public async Task A_put_that_meets_the_sweep_on_a_blob_answers_only_when_the_blob_is_safe()
    {
        var clock = new MeetingClock(_clock);
        var store = new FileBlobStore(_folder["blobs"], new byte[32], clock);
        var content = "met"u8.ToArray();
        var address = (await store.PutAsync([content], default))[0];
        _clock.Advance(2 * BlobPromise.KeptUnreferenced);
        Task? put = null;
        using var answered = new ManualResetEventSlim();
        clock.OnSecondLook = () =>
        {
            put = Task.Run(async () =>
            {
                await store.PutAsync([content], default);
                answered.Set();
            });
            answered.Wait(TimeSpan.FromMilliseconds(200));
        };

        await store.SweepAsync(AsyncEnumerable.Empty<BlobReference>(), new LinkTrees(), default);

        Assert.NotNull(put);
        await put;
        Assert.True(File.Exists(_folder[Path.Combine("blobs", address[..2], address[2..])]), "it was put, answered, and then set aside");
    }

    private void Place()
    {
        var temporary = _shelves.NewTemporary(Address);
        File.WriteAllBytes(temporary, [1, 2, 3, 4]);
        _shelves.Place(temporary, Address);
    }

    /// <summary>The sweep looks at the clock when it begins, and again when it is about to move a blob.</summary>
    private sealed class MeetingClock(TimeProvider inner) : TimeProvider
    {
        private int _looks;
        private Action? _onSecondLook;

        public Action OnSecondLook
        {
            set => (_onSecondLook, _looks) = (value, 0);
        }

        public override DateTimeOffset GetUtcNow()
        {
            if (Interlocked.Increment(ref _looks) == 2)
                _onSecondLook?.Invoke();
            return inner.GetUtcNow();
        }
    }
}
