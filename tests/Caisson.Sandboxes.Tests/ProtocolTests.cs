using System.Text;
using Caisson.Contracts;
using Caisson.Sandboxes.Protocol;
using Caisson.Sandboxes.Workspaces;
using CsCheck;

namespace Caisson.Sandboxes.Tests;

/// <summary>What comes from a box or from a disk may be anything.</summary>
public sealed class ProtocolTests
{
    [Theory]
    [InlineData(new byte[] { 1, 0, 1, 0, 50 })]
    [InlineData(new byte[] { 255, 255, 255, 255, 50 })]
    [InlineData(new byte[] { 0, 0, 0, 0, 50 })]
    [InlineData(new byte[] { 5, 0, 0, 0, 52, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 0, 0, 0, 0, 1 })]
    [InlineData(new byte[] { 9, 0, 0, 0, 82, 0, 0, 0, 0, 0, 0, 0, 0, 0 })]
    public async Task A_frame_of_a_wrong_length_or_direction_is_refused_before_it_is_read(byte[] bytes)
    {
        using var frames = new FrameStream(new MemoryStream(bytes));

        await Assert.ThrowsAsync<GuestProtocolException>(async () => await frames.ReadAsync(default));
    }

    [Fact]
    public void An_output_buffer_keeps_head_tail_and_count_however_the_output_is_cut()
    {
        Gen.Select(Gen.Int[0, 50], Gen.Byte.Array[0, 40].Array[0, 12]).Sample((limit, parts) =>
        {
            var buffer = new OutputBuffer(limit);
            foreach (var part in parts)
                buffer.Add(part);
            var all = parts.SelectMany(p => p).ToArray();

            var output = buffer.ToOutput();

            Assert.Equal(all.Length, output.TotalBytes);
            byte[] kept = [.. output.Head.Span, .. output.Tail.Span];
            byte[] expected = all.Length <= limit ? all : [.. all[..(limit / 2)], .. all[^(limit - limit / 2)..]];
            Assert.Equal(expected, kept);
        });
    }

    [Fact]
    public void A_folder_node_survives_its_encoding_and_broken_ones_are_refused()
    {
        var name = Gen.Byte.Where(b => b is not (0 or (byte)'/')).Array[1, 255].Where(n => !n.AsSpan().SequenceEqual("."u8) && !n.AsSpan().SequenceEqual(".."u8));
        var entry = Gen.Select(name, Gen.Int[1, 3].Select(i => (TreeKind)i), Gen.UShort[0, 0xfff], Gen.Long[0, 1L << 44],
            Gen.Int[1, 3].Select(i => (TreeContent)i), Gen.Byte.Array[0, 50])
            .Select((n, kind, mode, size, content, data) => new TreeEntry(n, kind, mode, size, content, data));

        Gen.Select(entry.Array[0, 10], Gen.Int[0, 1000], Gen.Byte).Sample((entries, at, value) =>
        {
            var unique = entries.DistinctBy(e => Convert.ToHexString(e.Name)).OrderBy(e => e.Name, NameOrder.Instance).ToList();
            var bytes = TreeNode.Encode(entries.DistinctBy(e => Convert.ToHexString(e.Name)));

            Assert.Equal(unique.Select(Show), TreeNode.Decode(bytes).Select(Show));

            bytes[at % bytes.Length] ^= value;
            try
            {
                Assert.All(TreeNode.Decode(bytes), e => Assert.False(e.Name.Contains((byte)'/') || e.Name.Length == 0));
            }
            catch (CaissonException e)
            {
                Assert.Equal(ErrorCodes.DatabaseCorrupt, e.Code);
            }
        });

        static string Show(TreeEntry e) => $"{Convert.ToHexString(e.Name)} {e.Kind} {e.Mode} {e.Size} {e.Content} {Convert.ToHexString(e.Data)}";
    }

    [Theory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("a/b")]
    [InlineData("")]
    public void A_folder_node_never_names_another_place(string name)
    {
        var bytes = TreeNode.Encode([new TreeEntry(Encoding.UTF8.GetBytes(name), TreeKind.File, 0, 0, TreeContent.Inline, [])]);

        Assert.Equal(ErrorCodes.DatabaseCorrupt, Assert.Throws<CaissonException>(() => TreeNode.Decode(bytes)).Code);
    }
}
