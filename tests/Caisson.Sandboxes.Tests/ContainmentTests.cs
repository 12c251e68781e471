using Caisson.Sandboxes.Tests.Containment;

namespace Caisson.Sandboxes.Tests;

/// <summary>
/// What a hostile command may not reach, for every kind of box. Each probe has a control that shows the probe itself
/// works: "refused" must not mean "mistyped".
/// </summary>
public abstract class ContainmentTests(Boxes boxes)
{
    public static IEnumerable<TheoryDataRow<string>> Probes => Suite.All.Select(p => new TheoryDataRow<string>(p.Name));

    [Theory]
    [MemberData(nameof(Probes))]
    public async Task Is_contained(string probe)
    {
        Assert.NotNull(boxes.Shared);

        var seen = (await boxes.ContainAsync())[probe];

        Assert.Equal(Suite.All.Single(p => p.Name == probe).Expected(boxes.Kind), seen);
    }

    [Fact]
    public async Task The_table_in_the_documents_is_what_the_suite_sees()
    {
        Assert.NotNull(boxes.Shared);

        var seen = await boxes.ContainAsync();
        var written = Table.Columns(Table.FilePath).FirstOrDefault(c => Table.KindOf(c.Key) == boxes.Kind).Value ?? new Dictionary<string, string>();

        // Otherwise: Caisson.Sandboxes.Tests containment docs/security/containment.md
        Assert.Equal(seen.OrderBy(s => s.Key, StringComparer.Ordinal), written.OrderBy(s => s.Key, StringComparer.Ordinal));
    }
}
