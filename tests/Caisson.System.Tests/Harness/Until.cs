namespace Caisson.System.Tests.Harness;

/// <summary>Waits for a condition with a deadline; says what it saw last when the deadline passes.</summary>
internal static class Until
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    internal static async Task<T> AsyncValue<T>(string what, Func<Task<T>> look, Func<T, bool> good, TimeSpan? patience = null)
    {
        var clock = TimeProvider.System;
        var began = clock.GetTimestamp();
        while (true)
        {
            var seen = await look();
            if (good(seen))
                return seen;
            if (clock.GetElapsedTime(began) > (patience ?? CaissonProgram.Patience))
                throw new TimeoutException($"{what}: last seen was {seen}");
            await Task.Delay(Look, clock);
        }
    }

    internal static Task<bool> True(string what, Func<bool> look, TimeSpan? patience = null) =>
        AsyncValue(what, () => Task.FromResult(look()), seen => seen, patience);
}
