import asyncio


async def fails():
    await asyncio.sleep(0)
    raise ValueError("inside")


async def main():
    asyncio.create_task(fails(), name="forgotten")
    await asyncio.sleep(0.01)
    async with asyncio.TaskGroup() as group:
        group.create_task(fails())
        group.create_task(asyncio.sleep(5))


asyncio.run(main())
