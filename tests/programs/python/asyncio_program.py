import asyncio


async def number(value, delay):
    await asyncio.sleep(delay)
    print("number", value)
    return value


async def main():
    print(await asyncio.gather(number(1, 0.02), number(2, 0.0)))
    process = await asyncio.create_subprocess_exec("echo", "async child", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0])
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        print("timed out")
    async with asyncio.TaskGroup() as group:
        group.create_task(number(3, 0))
    print(await asyncio.to_thread(sum, [1, 2]))


asyncio.run(main())
