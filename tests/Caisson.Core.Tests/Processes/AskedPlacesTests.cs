using Caisson.Core.Processes;

namespace Caisson.Core.Tests.Processes;

/// <summary>The nth of equal questions is the same in every start, whatever was asked between.</summary>
public sealed class AskedPlacesTests
{
    [Fact]
    public void Equal_questions_are_told_apart_by_how_often_they_were_asked_and_not_by_order()
    {
        var (first, second) = (new AskedPlaces(10), new AskedPlaces(10));
        var one = new[] { first.Take("named", "a"), first.Take("named", "b"), first.Take("named", "a"), first.Take("timer", "a") }.Select(p => p!.Key).ToList();
        var two = new[] { second.Take("named", "a"), second.Take("named", "a"), second.Take("timer", "a"), second.Take("named", "b") }.Select(p => p!.Key).ToList();

        Assert.Equal(4, one.Distinct().Count());
        Assert.Equal([one[0], one[2], one[3], one[1]], two);
    }

    [Fact]
    public void A_place_that_was_given_back_is_the_next_one_given()
    {
        var asked = new AskedPlaces(10);
        var (first, second) = (asked.Take("named", "a")!, asked.Take("named", "a")!);

        asked.GiveBack(second);
        asked.GiveBack(first);

        Assert.Equal([first.Key, second.Key], [asked.Take("named", "a")!.Key, asked.Take("named", "a")!.Key]);
        Assert.Equal(2, asked.Take("named", "a")!.Nth);
    }

    [Fact]
    public void A_key_of_the_program_s_own_is_used_once_unless_its_client_went()
    {
        var asked = new AskedPlaces(10);
        var own = asked.TakeOwn("key", "k")!;
        Assert.Null(asked.TakeOwn("key", "k"));

        asked.GiveBack(own);

        Assert.Equal(own.Key, asked.TakeOwn("key", "k")!.Key);
        Assert.NotEqual(own.Key, asked.Take("key", "k")?.Key);
    }

    [Fact]
    public void A_start_asks_for_so_many_different_things_and_no_more()
    {
        var asked = new AskedPlaces(2);

        Assert.NotNull(asked.Take("named", "a"));
        Assert.NotNull(asked.Take("named", "b"));
        Assert.Null(asked.Take("named", "c"));
        Assert.Null(asked.TakeOwn("key", "c"));
        Assert.NotNull(asked.Take("named", "a"));
    }
}
