using Caisson.Core.Processes;
using CsCheck;

namespace Caisson.Core.Tests.Processes;

public sealed class ProcessLoopsTests
{
    private static readonly Gen<ConversationTurn[]> Turns = Gen.Int[0, 2].Select(Turn).Array[0, 12];

    /// <summary>A conversation that is told anew with each request, from its beginning or in its last part.</summary>
    [Fact]
    public void Each_turn_is_fresh_once() =>
        Gen.Select(Turns, Gen.Int[0, 12], Gen.Int[0, 12]).Sample((all, upTo, from) =>
        {
            var known = all[..Math.Min(upTo, all.Length)];
            var told = all[Math.Min(from, known.Length)..];
            var fresh = ProcessLoops.Fresh(known, told).ToArray();

            // What comes after the known ones is fresh, unless an equal passage makes it look older: never one turn too many.
            return fresh.Length <= Math.Max(all.Length - known.Length, from >= known.Length ? told.Length : 0)
                && fresh.SequenceEqual(told.TakeLast(fresh.Length))
                && (from > 0 || fresh.Length == all.Length - known.Length);
        });

    [Fact]
    public void A_program_that_begins_anew_tells_nothing_new_until_it_is_where_it_was()
    {
        ConversationTurn[] all = [Turn(0), Turn(1), Turn(1), Turn(2)];

        Assert.All(Enumerable.Range(0, all.Length + 1), count => Assert.Empty(ProcessLoops.Fresh(all, [.. all.Take(count)])));
        Assert.Equal([Turn(1)], ProcessLoops.Fresh(all, [.. all, Turn(1)]));
    }

    [Fact]
    public void Another_conversation_is_fresh_as_a_whole() =>
        Assert.Equal([Turn(5), Turn(6)], ProcessLoops.Fresh([Turn(0), Turn(1)], [Turn(5), Turn(6)]));

    private static ConversationTurn Turn(int number) => new("shell", $"s{number}", $"r{number}", false);
}
